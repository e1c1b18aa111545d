"""The tables of an ORT file: the schema is ONNX Runtime's, ``core/flatbuffers/schema/ort.fbs``, version 6."""

from __future__ import annotations

import re

from mmconvert.emitters.flat import TableType

IDENTIFIER = b"ORTM"
ROOT = "InferenceSession"

_DECLARATIONS = {
    "InferenceSession": "ort_version:string model:Model _ kernel_type_str_resolver:KernelTypeStrResolver",
    "Model": "ir_version:i64 opset_import:[OperatorSetId] producer_name:string producer_version:string"
    " domain:string model_version:i64 doc_string:string graph:Graph graph_doc_string:string"
    " metadata_props:[StringStringEntry]",
    "OperatorSetId": "domain:string version:i64",
    "StringStringEntry": "key:string value:string",
    "Graph": "initializers:[Tensor] node_args:[ValueInfo] nodes:[Node] max_node_index:u32"
    " node_edges:[NodeEdge] inputs:[string] outputs:[string] sparse_initializers:[SparseTensor]"
    " runtime_optimizations:RuntimeOptimizations",
    "Tensor": "name:string doc_string:string dims:[i64] data_type:i32 raw_data:blob string_data:[string]"
    " external_data_offset:i64=-1",
    "SparseTensor": "values:Tensor indices:Tensor dims:[i64]",
    "ValueInfo": "name:string doc_string:string type:TypeInfo",
    "TypeInfo": "denotation:string value_type:u8 value:TypeInfoValue",
    "TensorTypeAndShape": "elem_type:i32 shape:Shape",
    "SequenceType": "elem_type:TypeInfo",
    "MapType": "key_type:i32 value_type:TypeInfo",
    "Shape": "dim:[Dimension]",
    "Dimension": "value:DimensionValue denotation:string",
    "DimensionValue": "dim_type:i8 dim_value:i64 dim_param:string",
    "Node": "name:string doc_string:string domain:string since_version:i32 index:u32 op_type:string"
    " type:i32 execution_provider_type:string inputs:[string] outputs:[string] attributes:[Attribute]"
    " input_arg_counts:[i32] implicit_inputs:[string]",
    "NodeEdge": "node_index:u32 input_edges:[i32*3] output_edges:[i32*3]",
    "Attribute": "name:string doc_string:string type:i32 f:f32 i:i64 s:string t:Tensor g:Graph floats:[f32]"
    " ints:[i64] strings:[string] tensors:[Tensor] graphs:[Graph]",
    "RuntimeOptimizations": "records:[RuntimeOptimizationRecordContainerEntry]",
    "RuntimeOptimizationRecordContainerEntry": "optimizer_name:string"
    " runtime_optimization_records:[RuntimeOptimizationRecord]",
    "RuntimeOptimizationRecord": "action_id:string nodes_to_optimize_indices:NodesToOptimizeIndices _"
    " produced_op_ids:[string]",
    "NodesToOptimizeIndices": "node_indices:[u32] num_inputs:u32 num_outputs:u32 has_variadic_input:bool"
    " has_variadic_output:bool num_variadic_inputs:u32 num_variadic_outputs:u32",
    "KernelTypeStrResolver": "op_kernel_type_str_args:[OpIdKernelTypeStrArgsEntry]",
    "OpIdKernelTypeStrArgsEntry": "op_id:string kernel_type_str_args:[KernelTypeStrArgsEntry]",
    "KernelTypeStrArgsEntry": "kernel_type_str:string args:[ArgTypeAndIndex]",
    "ArgTypeAndIndex": "arg_type:i8 index:u32",
}

TYPES = {name: TableType(name, re.sub(r"\b[A-Z]\w*", "table", text)) for name, text in _DECLARATIONS.items()}
CHILDREN = {name: dict(re.findall(r"(\w+):\[?([A-Z]\w*)", text)) for name, text in _DECLARATIONS.items()}
"""The table types that slots refer to, by table type and slot."""

UNION = ("", "TensorTypeAndShape", "SequenceType", "MapType")
"""What the union ``TypeInfoValue`` holds, by ``value_type``."""
