"use strict";
// Puts the figures into their places, and gives them the colours of the reader's screen.
const { items, dark } = JSON.parse(document.getElementById("data").textContent);
const light = Object.fromEntries(Object.entries(dark).map(([a, b]) => [b, a]));
const isDark = window.matchMedia("(prefers-color-scheme: dark)");

function recolour(value, colours) {
  if (typeof value === "string") return colours[value];
  if (value && typeof value.value === "string" && colours[value.value]) return { ...value, value: colours[value.value] };
  return undefined;
}

function paint(colours) {
  for (const doc of Bokeh.documents) {
    for (const model of doc.all_models ?? doc._all_models.values()) {
      const changed = {};
      for (const [name, value] of Object.entries(model.attributes)) {
        const found = name.endsWith("_color") ? recolour(value, colours) : undefined;
        if (found !== undefined) changed[name] = found;
      }
      if (Object.keys(changed).length) model.setv(changed);
    }
  }
}

Promise.all(items.map((item) => Bokeh.embed.embed_item(item))).then(() => {
  if (isDark.matches) paint(dark);
  isDark.addEventListener("change", () => paint(isDark.matches ? dark : light));
  document.documentElement.dataset.ready = "yes";
});
