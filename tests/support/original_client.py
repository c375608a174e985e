"""The original interface as its clients know it: four fields in, one out, and nothing else."""

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2
from google.protobuf.message import Message

_Field = descriptor_pb2.FieldDescriptorProto


def original_messages() -> tuple[type[Message], type[Message]]:
    """Return request and reply, made without the project's proto files."""
    file = descriptor_pb2.FileDescriptorProto(
        name="original.proto", package="original", syntax="proto3", dependency=["google/protobuf/timestamp.proto"]
    )
    request = file.message_type.add(name="LogMetricsRequest")
    _add(request, "service_name", 1, _Field.TYPE_STRING)
    _add(request, "metric_name", 2, _Field.TYPE_STRING)
    _add(request, "value", 3, _Field.TYPE_INT64)
    _add(request, "timestamp", 4, _Field.TYPE_MESSAGE).type_name = ".google.protobuf.Timestamp"
    _add(file.message_type.add(name="LogMetricsResponse"), "success", 1, _Field.TYPE_BOOL)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    names = ("original.LogMetricsRequest", "original.LogMetricsResponse")
    made = [message_factory.GetMessageClass(pool.FindMessageTypeByName(name)) for name in names]
    return made[0], made[1]


def _add(message: descriptor_pb2.DescriptorProto, name: str, number: int, kind: "_Field.Type.ValueType") -> _Field:
    return message.field.add(name=name, number=number, type=kind, label=_Field.LABEL_OPTIONAL)
