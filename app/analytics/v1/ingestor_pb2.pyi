import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Ack(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ACK_UNSPECIFIED: _ClassVar[Ack]
    ACK_BUFFERED: _ClassVar[Ack]
    ACK_COMMITTED: _ClassVar[Ack]
ACK_UNSPECIFIED: Ack
ACK_BUFFERED: Ack
ACK_COMMITTED: Ack

class LogMetricsRequest(_message.Message):
    __slots__ = ("service_name", "metric_name", "value", "timestamp", "double_value", "labels")
    SERVICE_NAME_FIELD_NUMBER: _ClassVar[int]
    METRIC_NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    DOUBLE_VALUE_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    service_name: str
    metric_name: str
    value: int
    timestamp: _timestamp_pb2.Timestamp
    double_value: float
    labels: _containers.RepeatedCompositeFieldContainer[Label]
    def __init__(self, service_name: _Optional[str] = ..., metric_name: _Optional[str] = ..., value: _Optional[int] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., double_value: _Optional[float] = ..., labels: _Optional[_Iterable[_Union[Label, _Mapping]]] = ...) -> None: ...

class LogMetricsResponse(_message.Message):
    __slots__ = ("success",)
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    success: bool
    def __init__(self, success: _Optional[bool] = ...) -> None: ...

class Label(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: str
    def __init__(self, name: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class WriteRequest(_message.Message):
    __slots__ = ("idempotency_key", "ack", "points", "columns")
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    ACK_FIELD_NUMBER: _ClassVar[int]
    POINTS_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    idempotency_key: bytes
    ack: Ack
    points: _containers.RepeatedCompositeFieldContainer[Point]
    columns: _containers.RepeatedCompositeFieldContainer[Columns]
    def __init__(self, idempotency_key: _Optional[bytes] = ..., ack: _Optional[_Union[Ack, str]] = ..., points: _Optional[_Iterable[_Union[Point, _Mapping]]] = ..., columns: _Optional[_Iterable[_Union[Columns, _Mapping]]] = ...) -> None: ...

class Point(_message.Message):
    __slots__ = ("service_name", "metric_name", "labels", "time_unix_nano", "double_value", "int_value")
    SERVICE_NAME_FIELD_NUMBER: _ClassVar[int]
    METRIC_NAME_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    DOUBLE_VALUE_FIELD_NUMBER: _ClassVar[int]
    INT_VALUE_FIELD_NUMBER: _ClassVar[int]
    service_name: str
    metric_name: str
    labels: _containers.RepeatedCompositeFieldContainer[Label]
    time_unix_nano: int
    double_value: float
    int_value: int
    def __init__(self, service_name: _Optional[str] = ..., metric_name: _Optional[str] = ..., labels: _Optional[_Iterable[_Union[Label, _Mapping]]] = ..., time_unix_nano: _Optional[int] = ..., double_value: _Optional[float] = ..., int_value: _Optional[int] = ...) -> None: ...

class Series(_message.Message):
    __slots__ = ("service_name", "metric_name", "labels")
    SERVICE_NAME_FIELD_NUMBER: _ClassVar[int]
    METRIC_NAME_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    service_name: str
    metric_name: str
    labels: _containers.RepeatedCompositeFieldContainer[Label]
    def __init__(self, service_name: _Optional[str] = ..., metric_name: _Optional[str] = ..., labels: _Optional[_Iterable[_Union[Label, _Mapping]]] = ...) -> None: ...

class Columns(_message.Message):
    __slots__ = ("series", "series_index", "time_unix_nano", "value")
    SERIES_FIELD_NUMBER: _ClassVar[int]
    SERIES_INDEX_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    series: _containers.RepeatedCompositeFieldContainer[Series]
    series_index: _containers.RepeatedScalarFieldContainer[int]
    time_unix_nano: _containers.RepeatedScalarFieldContainer[int]
    value: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, series: _Optional[_Iterable[_Union[Series, _Mapping]]] = ..., series_index: _Optional[_Iterable[int]] = ..., time_unix_nano: _Optional[_Iterable[int]] = ..., value: _Optional[_Iterable[float]] = ...) -> None: ...

class WriteResponse(_message.Message):
    __slots__ = ("ack", "accepted_points", "rejected_points", "rejections", "duplicate")
    ACK_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_POINTS_FIELD_NUMBER: _ClassVar[int]
    REJECTED_POINTS_FIELD_NUMBER: _ClassVar[int]
    REJECTIONS_FIELD_NUMBER: _ClassVar[int]
    DUPLICATE_FIELD_NUMBER: _ClassVar[int]
    ack: Ack
    accepted_points: int
    rejected_points: int
    rejections: _containers.RepeatedCompositeFieldContainer[Rejection]
    duplicate: bool
    def __init__(self, ack: _Optional[_Union[Ack, str]] = ..., accepted_points: _Optional[int] = ..., rejected_points: _Optional[int] = ..., rejections: _Optional[_Iterable[_Union[Rejection, _Mapping]]] = ..., duplicate: _Optional[bool] = ...) -> None: ...

class Rejection(_message.Message):
    __slots__ = ("point_index", "reason", "field", "message")
    POINT_INDEX_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    point_index: int
    reason: str
    field: str
    message: str
    def __init__(self, point_index: _Optional[int] = ..., reason: _Optional[str] = ..., field: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...
