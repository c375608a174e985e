"""The API reference: the proto file's own comments. ``python -m support.api_reference`` in tests/ writes it.

Made here as the generators there are build sites in HTML, and this is one page.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet

from support.generated import with_part

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "api.md"
PROTO = "analytics/v1/ingestor.proto"

# Places of declarations in a descriptor: the field numbers that lead to them. Source: descriptor.proto, SourceCodeInfo.
_MESSAGES, _ENUMS, _SERVICES, _MEMBERS, _ONE_OFS = 4, 5, 6, 2, 8

Place = tuple[int, ...]


def read_proto() -> FileDescriptorProto:
    """Return the file's descriptor with its comments."""
    with tempfile.TemporaryDirectory() as directory:
        target = Path(directory) / "set"
        command = [sys.executable, "-m", "grpc_tools.protoc", "-I", str(ROOT / "proto"), "--include_source_info"]
        subprocess.run([*command, f"--descriptor_set_out={target}", PROTO], check=True, timeout=60)
        [file] = FileDescriptorSet.FromString(target.read_bytes()).file
    return file


def reference(file: FileDescriptorProto) -> str:
    """Return every service, message and enum, in the file's order."""
    comments = {tuple(one.path): _text(one.leading_comments) for one in file.source_code_info.location}
    return "\n".join([*_services(file, comments), *_messages(file, comments), *_enums(file, comments)])


def _services(file: FileDescriptorProto, comments: dict[Place, str]) -> Iterator[str]:
    for index, service in enumerate(file.service):
        place = (_SERVICES, index)
        rows = []
        for number, method in enumerate(service.method):
            types = [_link(name) for name in (method.input_type, method.output_type)]
            rows.append([f"`{method.name}`", *types, comments[*place, _MEMBERS, number]])
        title = f"Service `{file.package}.{service.name}`"
        yield _section(title, comments[place], ["method", "request", "response", ""], rows)


def _messages(file: FileDescriptorProto, comments: dict[Place, str]) -> Iterator[str]:
    for index, message in enumerate(file.message_type):
        place = (_MESSAGES, index)
        rows = []
        for number, field in enumerate(message.field):
            meaning = comments[*place, _MEMBERS, number]
            if _is_in_one_of(field):
                group = message.oneof_decl[field.oneof_index].name
                meaning += f" One of `{group}`: {comments[*place, _ONE_OFS, field.oneof_index]}"
            rows.append([str(field.number), f"`{field.name}`", _type(field), meaning])
        yield _section(message.name, comments[place], ["", "field", "type", ""], rows)


def _enums(file: FileDescriptorProto, comments: dict[Place, str]) -> Iterator[str]:
    for index, enum in enumerate(file.enum_type):
        place = (_ENUMS, index)
        rows = [
            [str(value.number), f"`{value.name}`", comments[*place, _MEMBERS, number]]
            for number, value in enumerate(enum.value)
        ]
        yield _section(enum.name, comments[place], ["", "value", ""], rows)


def _section(title: str, text: str, columns: list[str], rows: list[list[str]]) -> str:
    """Return a heading, what it is about, and a table."""
    lines = [_row(columns), "|" + "---|" * len(columns), *map(_row, rows)]
    return f"## {title}\n\n{text}\n\n" + "\n".join(lines) + "\n"


def _row(cells: list[str]) -> str:
    """Return a row of a table; what stands on several lines stands on one there."""
    return "|" + "|".join(f" {' '.join(cell.split())} " if cell else " " for cell in cells) + "|"


def _is_in_one_of(field: FieldDescriptorProto) -> bool:
    return field.HasField("oneof_index") and not field.proto3_optional


def _type(field: FieldDescriptorProto) -> str:
    name = _link(field.type_name) if field.type_name else FieldDescriptorProto.Type.Name(field.type)[5:].lower()
    if field.label == FieldDescriptorProto.LABEL_REPEATED:
        return f"repeated {name}"
    return f"optional {name}" if field.proto3_optional else name


def _link(type_name: str) -> str:
    name = type_name.rpartition(".")[2]
    return f"`{type_name[1:]}`" if type_name.startswith(".google.") else f"[{name}](#{name.lower()})"


def _text(comment: str) -> str:
    return "\n".join(line.removeprefix(" ") for line in comment.strip("\n").splitlines()).strip()


def with_reference(page: str) -> str:
    """Return the page with the reference of today."""
    return with_part(page, "reference", reference(read_proto()))


if __name__ == "__main__":
    PAGE.write_text(with_reference(PAGE.read_text()))
