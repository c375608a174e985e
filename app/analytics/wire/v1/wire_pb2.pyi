from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class WriteFrame(_message.Message):
    __slots__ = ("idempotency_key", "ack", "points", "columns")
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    ACK_FIELD_NUMBER: _ClassVar[int]
    POINTS_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    idempotency_key: bytes
    ack: int
    points: _containers.RepeatedScalarFieldContainer[bytes]
    columns: _containers.RepeatedCompositeFieldContainer[ColumnsFrame]
    def __init__(self, idempotency_key: _Optional[bytes] = ..., ack: _Optional[int] = ..., points: _Optional[_Iterable[bytes]] = ..., columns: _Optional[_Iterable[_Union[ColumnsFrame, _Mapping]]] = ...) -> None: ...

class ColumnsFrame(_message.Message):
    __slots__ = ("series", "series_index", "time_unix_nano", "value")
    SERIES_FIELD_NUMBER: _ClassVar[int]
    SERIES_INDEX_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    series: _containers.RepeatedScalarFieldContainer[bytes]
    series_index: _containers.RepeatedScalarFieldContainer[bytes]
    time_unix_nano: _containers.RepeatedScalarFieldContainer[bytes]
    value: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, series: _Optional[_Iterable[bytes]] = ..., series_index: _Optional[_Iterable[bytes]] = ..., time_unix_nano: _Optional[_Iterable[bytes]] = ..., value: _Optional[_Iterable[bytes]] = ...) -> None: ...
