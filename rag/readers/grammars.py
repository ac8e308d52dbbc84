"""The programming languages whose structure is read: which grammar, and which of its nodes are definitions.

The grammars are tree-sitter's own, one wheel each, loaded when the first file of the language comes. Node
names are the grammars' (`node-types.json` of each). A language that is not here is cut at blank lines.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Grammar:
    module: str
    """Of the wheel."""
    definitions: Mapping[str, str]
    """Node type to the word that stands before the name in a heading; empty for none."""
    function: str = "language"
    """The module's function that gives the language."""
    values: frozenset[str] = field(default_factory=frozenset)
    """Node types of functions and classes without a name: what is assigned one is a definition."""


_JAVASCRIPT = {
    "function_declaration": "function",
    "generator_function_declaration": "function",
    "class_declaration": "class",
    "method_definition": "method",
    "variable_declarator": "const",
    "assignment_expression": "",
    "field_definition": "",
    "public_field_definition": "",
}
_TYPESCRIPT = {
    **_JAVASCRIPT,
    "abstract_class_declaration": "class",
    "interface_declaration": "interface",
    "enum_declaration": "enum",
    "type_alias_declaration": "type",
    "internal_module": "namespace",
    "function_signature": "function",
}
_JAVASCRIPT_VALUES = frozenset(
    {"arrow_function", "function_expression", "function", "class", "generator_function", "object"}
)
_C = {
    "function_definition": "",
    "struct_specifier": "struct",
    "union_specifier": "union",
    "enum_specifier": "enum",
    "type_definition": "typedef",
}

PYTHON = Grammar("tree_sitter_python", {"class_definition": "class", "function_definition": "def"})
JAVASCRIPT = Grammar("tree_sitter_javascript", _JAVASCRIPT, values=_JAVASCRIPT_VALUES)
TYPESCRIPT = Grammar("tree_sitter_typescript", _TYPESCRIPT, "language_typescript", _JAVASCRIPT_VALUES)
TSX = Grammar("tree_sitter_typescript", _TYPESCRIPT, "language_tsx", _JAVASCRIPT_VALUES)
RUST = Grammar(
    "tree_sitter_rust",
    {
        "function_item": "fn",
        "impl_item": "impl",
        "struct_item": "struct",
        "enum_item": "enum",
        "union_item": "union",
        "trait_item": "trait",
        "mod_item": "mod",
        "macro_definition": "macro",
    },
)
GO = Grammar("tree_sitter_go", {"function_declaration": "func", "method_declaration": "func", "type_spec": "type"})
JAVA = Grammar(
    "tree_sitter_java",
    {
        "class_declaration": "class",
        "interface_declaration": "interface",
        "enum_declaration": "enum",
        "record_declaration": "record",
        "annotation_type_declaration": "@interface",
        "method_declaration": "method",
        "constructor_declaration": "constructor",
    },
)
C = Grammar("tree_sitter_c", _C)
CPP = Grammar("tree_sitter_cpp", {**_C, "class_specifier": "class", "namespace_definition": "namespace"})
CSHARP = Grammar(
    "tree_sitter_c_sharp",
    {
        "class_declaration": "class",
        "struct_declaration": "struct",
        "interface_declaration": "interface",
        "record_declaration": "record",
        "enum_declaration": "enum",
        "namespace_declaration": "namespace",
        "method_declaration": "method",
        "constructor_declaration": "constructor",
        "local_function_statement": "function",
    },
)
RUBY = Grammar("tree_sitter_ruby", {"class": "class", "module": "module", "method": "def", "singleton_method": "def"})
PHP = Grammar(
    "tree_sitter_php",
    {
        "class_declaration": "class",
        "interface_declaration": "interface",
        "trait_declaration": "trait",
        "enum_declaration": "enum",
        "function_definition": "function",
        "method_declaration": "function",
    },
    "language_php",
)
BASH = Grammar("tree_sitter_bash", {"function_definition": "function"})

_EXTENSIONS: tuple[tuple[Grammar, str], ...] = (
    (PYTHON, "py pyi"),
    (JAVASCRIPT, "js mjs cjs jsx"),
    (TYPESCRIPT, "ts mts cts"),
    (TSX, "tsx"),
    (RUST, "rs"),
    (GO, "go"),
    (JAVA, "java"),
    (C, "c"),
    (CPP, "h cc cpp cxx hh hpp hxx"),  # C++ takes nearly all of C; a header does not say which it is
    (CSHARP, "cs"),
    (RUBY, "rb"),
    (PHP, "php"),
    (BASH, "sh bash"),
)
GRAMMAR_BY_EXTENSION: Mapping[str, Grammar] = {
    extension: grammar for grammar, extensions in _EXTENSIONS for extension in extensions.split()
}
