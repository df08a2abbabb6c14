from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class StartWorkflowRequest(_message.Message):
    __slots__ = ("workflow_name", "version", "input", "timeout", "attributes", "retention")
    WORKFLOW_NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    RETENTION_FIELD_NUMBER: _ClassVar[int]
    workflow_name: str
    version: str
    input: str
    timeout: str
    attributes: str
    retention: str
    def __init__(self, workflow_name: _Optional[str] = ..., version: _Optional[str] = ..., input: _Optional[str] = ..., timeout: _Optional[str] = ..., attributes: _Optional[str] = ..., retention: _Optional[str] = ...) -> None: ...

class StartWorkflowResponse(_message.Message):
    __slots__ = ("run_id",)
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    def __init__(self, run_id: _Optional[str] = ...) -> None: ...

class GetRunRequest(_message.Message):
    __slots__ = ("run_id",)
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    def __init__(self, run_id: _Optional[str] = ...) -> None: ...

class ListRunsRequest(_message.Message):
    __slots__ = ("phases", "workflow_name", "limit", "cursor", "where")
    class WhereEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    PHASES_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_NAME_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    phases: _containers.RepeatedScalarFieldContainer[str]
    workflow_name: str
    limit: int
    cursor: str
    where: _containers.ScalarMap[str, str]
    def __init__(self, phases: _Optional[_Iterable[str]] = ..., workflow_name: _Optional[str] = ..., limit: _Optional[int] = ..., cursor: _Optional[str] = ..., where: _Optional[_Mapping[str, str]] = ...) -> None: ...

class ListRunsResponse(_message.Message):
    __slots__ = ("runs", "next_cursor")
    RUNS_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    runs: _containers.RepeatedCompositeFieldContainer[Run]
    next_cursor: str
    def __init__(self, runs: _Optional[_Iterable[_Union[Run, _Mapping]]] = ..., next_cursor: _Optional[str] = ...) -> None: ...

class CancelRunRequest(_message.Message):
    __slots__ = ("run_id", "reason")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    reason: str
    def __init__(self, run_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class CancelRunResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetRunEventsRequest(_message.Message):
    __slots__ = ("run_id", "after_seq", "limit")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_SEQ_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    after_seq: int
    limit: int
    def __init__(self, run_id: _Optional[str] = ..., after_seq: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class GetRunEventsResponse(_message.Message):
    __slots__ = ("events", "head_seq")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    HEAD_SEQ_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[Event]
    head_seq: int
    def __init__(self, events: _Optional[_Iterable[_Union[Event, _Mapping]]] = ..., head_seq: _Optional[int] = ...) -> None: ...

class StreamRunHistoryRequest(_message.Message):
    __slots__ = ("run_id", "after_seq")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_SEQ_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    after_seq: int
    def __init__(self, run_id: _Optional[str] = ..., after_seq: _Optional[int] = ...) -> None: ...

class Run(_message.Message):
    __slots__ = ("run_id", "workflow_name", "version", "phase", "created_at_ns", "started_at_ns", "finished_at_ns", "head_seq", "input", "output", "failure", "failed_step", "definition_id", "child_of", "child_step", "continues", "continued_by", "attributes", "spent")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_NS_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_NS_FIELD_NUMBER: _ClassVar[int]
    FINISHED_AT_NS_FIELD_NUMBER: _ClassVar[int]
    HEAD_SEQ_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    FAILED_STEP_FIELD_NUMBER: _ClassVar[int]
    DEFINITION_ID_FIELD_NUMBER: _ClassVar[int]
    CHILD_OF_FIELD_NUMBER: _ClassVar[int]
    CHILD_STEP_FIELD_NUMBER: _ClassVar[int]
    CONTINUES_FIELD_NUMBER: _ClassVar[int]
    CONTINUED_BY_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    SPENT_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    workflow_name: str
    version: str
    phase: str
    created_at_ns: int
    started_at_ns: int
    finished_at_ns: int
    head_seq: int
    input: str
    output: str
    failure: Failure
    failed_step: str
    definition_id: str
    child_of: str
    child_step: str
    continues: str
    continued_by: str
    attributes: str
    spent: str
    def __init__(self, run_id: _Optional[str] = ..., workflow_name: _Optional[str] = ..., version: _Optional[str] = ..., phase: _Optional[str] = ..., created_at_ns: _Optional[int] = ..., started_at_ns: _Optional[int] = ..., finished_at_ns: _Optional[int] = ..., head_seq: _Optional[int] = ..., input: _Optional[str] = ..., output: _Optional[str] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ..., failed_step: _Optional[str] = ..., definition_id: _Optional[str] = ..., child_of: _Optional[str] = ..., child_step: _Optional[str] = ..., continues: _Optional[str] = ..., continued_by: _Optional[str] = ..., attributes: _Optional[str] = ..., spent: _Optional[str] = ...) -> None: ...

class Failure(_message.Message):
    __slots__ = ("type", "message", "cause", "traceback")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    TRACEBACK_FIELD_NUMBER: _ClassVar[int]
    type: str
    message: str
    cause: str
    traceback: str
    def __init__(self, type: _Optional[str] = ..., message: _Optional[str] = ..., cause: _Optional[str] = ..., traceback: _Optional[str] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("seq", "kind", "at_ns", "step", "attempt", "facts")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    AT_NS_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    FACTS_FIELD_NUMBER: _ClassVar[int]
    seq: int
    kind: str
    at_ns: int
    step: str
    attempt: int
    facts: str
    def __init__(self, seq: _Optional[int] = ..., kind: _Optional[str] = ..., at_ns: _Optional[int] = ..., step: _Optional[str] = ..., attempt: _Optional[int] = ..., facts: _Optional[str] = ...) -> None: ...

class ForkRunRequest(_message.Message):
    __slots__ = ("run_id", "at", "at_seq", "input", "set_outputs", "set_inputs", "version", "allow_external")
    class SetOutputsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class SetInputsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    AT_SEQ_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    SET_OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    SET_INPUTS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ALLOW_EXTERNAL_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    at: str
    at_seq: int
    input: str
    set_outputs: _containers.ScalarMap[str, str]
    set_inputs: _containers.ScalarMap[str, str]
    version: str
    allow_external: bool
    def __init__(self, run_id: _Optional[str] = ..., at: _Optional[str] = ..., at_seq: _Optional[int] = ..., input: _Optional[str] = ..., set_outputs: _Optional[_Mapping[str, str]] = ..., set_inputs: _Optional[_Mapping[str, str]] = ..., version: _Optional[str] = ..., allow_external: _Optional[bool] = ...) -> None: ...

class ForkRunResponse(_message.Message):
    __slots__ = ("run_id",)
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    def __init__(self, run_id: _Optional[str] = ...) -> None: ...

class RetryRunRequest(_message.Message):
    __slots__ = ("run_id", "allow_external")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    ALLOW_EXTERNAL_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    allow_external: bool
    def __init__(self, run_id: _Optional[str] = ..., allow_external: _Optional[bool] = ...) -> None: ...

class GetLineageRequest(_message.Message):
    __slots__ = ("run_id",)
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    def __init__(self, run_id: _Optional[str] = ...) -> None: ...

class Lineage(_message.Message):
    __slots__ = ("run", "ancestors", "descendants", "is_cut")
    RUN_FIELD_NUMBER: _ClassVar[int]
    ANCESTORS_FIELD_NUMBER: _ClassVar[int]
    DESCENDANTS_FIELD_NUMBER: _ClassVar[int]
    IS_CUT_FIELD_NUMBER: _ClassVar[int]
    run: Kin
    ancestors: _containers.RepeatedCompositeFieldContainer[Kin]
    descendants: _containers.RepeatedCompositeFieldContainer[Kin]
    is_cut: bool
    def __init__(self, run: _Optional[_Union[Kin, _Mapping]] = ..., ancestors: _Optional[_Iterable[_Union[Kin, _Mapping]]] = ..., descendants: _Optional[_Iterable[_Union[Kin, _Mapping]]] = ..., is_cut: _Optional[bool] = ...) -> None: ...

class Kin(_message.Message):
    __slots__ = ("run_id", "parent", "parent_seq", "workflow_name", "version", "phase", "created_at_ns", "changed")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    PARENT_SEQ_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_NS_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    parent: str
    parent_seq: int
    workflow_name: str
    version: str
    phase: str
    created_at_ns: int
    changed: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, run_id: _Optional[str] = ..., parent: _Optional[str] = ..., parent_seq: _Optional[int] = ..., workflow_name: _Optional[str] = ..., version: _Optional[str] = ..., phase: _Optional[str] = ..., created_at_ns: _Optional[int] = ..., changed: _Optional[_Iterable[str]] = ...) -> None: ...

class ExplainRunRequest(_message.Message):
    __slots__ = ("run_id",)
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    def __init__(self, run_id: _Optional[str] = ...) -> None: ...

class ExplainRunResponse(_message.Message):
    __slots__ = ("remarks",)
    REMARKS_FIELD_NUMBER: _ClassVar[int]
    remarks: _containers.RepeatedCompositeFieldContainer[Remark]
    def __init__(self, remarks: _Optional[_Iterable[_Union[Remark, _Mapping]]] = ...) -> None: ...

class Remark(_message.Message):
    __slots__ = ("topic", "level", "what", "do")
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    WHAT_FIELD_NUMBER: _ClassVar[int]
    DO_FIELD_NUMBER: _ClassVar[int]
    topic: str
    level: str
    what: str
    do: str
    def __init__(self, topic: _Optional[str] = ..., level: _Optional[str] = ..., what: _Optional[str] = ..., do: _Optional[str] = ...) -> None: ...

class CreateScheduleRequest(_message.Message):
    __slots__ = ("name", "cron", "zone", "workflow_name", "version", "input", "catch_up", "overlap", "jitter", "timeout")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CRON_FIELD_NUMBER: _ClassVar[int]
    ZONE_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    CATCH_UP_FIELD_NUMBER: _ClassVar[int]
    OVERLAP_FIELD_NUMBER: _ClassVar[int]
    JITTER_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    name: str
    cron: str
    zone: str
    workflow_name: str
    version: str
    input: str
    catch_up: str
    overlap: str
    jitter: str
    timeout: str
    def __init__(self, name: _Optional[str] = ..., cron: _Optional[str] = ..., zone: _Optional[str] = ..., workflow_name: _Optional[str] = ..., version: _Optional[str] = ..., input: _Optional[str] = ..., catch_up: _Optional[str] = ..., overlap: _Optional[str] = ..., jitter: _Optional[str] = ..., timeout: _Optional[str] = ...) -> None: ...

class ScheduleRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ListSchedulesRequest(_message.Message):
    __slots__ = ("name", "limit")
    NAME_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    name: str
    limit: int
    def __init__(self, name: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class ListSchedulesResponse(_message.Message):
    __slots__ = ("schedules",)
    SCHEDULES_FIELD_NUMBER: _ClassVar[int]
    schedules: _containers.RepeatedCompositeFieldContainer[Schedule]
    def __init__(self, schedules: _Optional[_Iterable[_Union[Schedule, _Mapping]]] = ...) -> None: ...

class TriggerScheduleResponse(_message.Message):
    __slots__ = ("run_id",)
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    def __init__(self, run_id: _Optional[str] = ...) -> None: ...

class DeleteScheduleResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Schedule(_message.Message):
    __slots__ = ("name", "cron", "zone", "workflow_name", "version", "input", "catch_up", "overlap", "jitter_seconds", "timeout_seconds", "created_at_ns", "paused_at_ns", "next_at_ns", "upcoming_ns", "firings")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CRON_FIELD_NUMBER: _ClassVar[int]
    ZONE_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    CATCH_UP_FIELD_NUMBER: _ClassVar[int]
    OVERLAP_FIELD_NUMBER: _ClassVar[int]
    JITTER_SECONDS_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_NS_FIELD_NUMBER: _ClassVar[int]
    PAUSED_AT_NS_FIELD_NUMBER: _ClassVar[int]
    NEXT_AT_NS_FIELD_NUMBER: _ClassVar[int]
    UPCOMING_NS_FIELD_NUMBER: _ClassVar[int]
    FIRINGS_FIELD_NUMBER: _ClassVar[int]
    name: str
    cron: str
    zone: str
    workflow_name: str
    version: str
    input: str
    catch_up: str
    overlap: str
    jitter_seconds: float
    timeout_seconds: float
    created_at_ns: int
    paused_at_ns: int
    next_at_ns: int
    upcoming_ns: _containers.RepeatedScalarFieldContainer[int]
    firings: _containers.RepeatedCompositeFieldContainer[Firing]
    def __init__(self, name: _Optional[str] = ..., cron: _Optional[str] = ..., zone: _Optional[str] = ..., workflow_name: _Optional[str] = ..., version: _Optional[str] = ..., input: _Optional[str] = ..., catch_up: _Optional[str] = ..., overlap: _Optional[str] = ..., jitter_seconds: _Optional[float] = ..., timeout_seconds: _Optional[float] = ..., created_at_ns: _Optional[int] = ..., paused_at_ns: _Optional[int] = ..., next_at_ns: _Optional[int] = ..., upcoming_ns: _Optional[_Iterable[int]] = ..., firings: _Optional[_Iterable[_Union[Firing, _Mapping]]] = ...) -> None: ...

class Firing(_message.Message):
    __slots__ = ("nominal_time_ns", "outcome", "run_id", "detail", "missed", "fired_at_ns", "phase")
    NOMINAL_TIME_NS_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    MISSED_FIELD_NUMBER: _ClassVar[int]
    FIRED_AT_NS_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    nominal_time_ns: int
    outcome: str
    run_id: str
    detail: str
    missed: int
    fired_at_ns: int
    phase: str
    def __init__(self, nominal_time_ns: _Optional[int] = ..., outcome: _Optional[str] = ..., run_id: _Optional[str] = ..., detail: _Optional[str] = ..., missed: _Optional[int] = ..., fired_at_ns: _Optional[int] = ..., phase: _Optional[str] = ...) -> None: ...

class SubmitJobRequest(_message.Message):
    __slots__ = ("target", "arguments", "queue", "key", "priority", "delay", "at_ns", "deadline", "idempotency_key", "keep")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    DELAY_FIELD_NUMBER: _ClassVar[int]
    AT_NS_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    KEEP_FIELD_NUMBER: _ClassVar[int]
    target: str
    arguments: str
    queue: str
    key: str
    priority: int
    delay: str
    at_ns: int
    deadline: str
    idempotency_key: str
    keep: str
    def __init__(self, target: _Optional[str] = ..., arguments: _Optional[str] = ..., queue: _Optional[str] = ..., key: _Optional[str] = ..., priority: _Optional[int] = ..., delay: _Optional[str] = ..., at_ns: _Optional[int] = ..., deadline: _Optional[str] = ..., idempotency_key: _Optional[str] = ..., keep: _Optional[str] = ...) -> None: ...

class JobRequest(_message.Message):
    __slots__ = ("job_id", "reason")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    reason: str
    def __init__(self, job_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class Job(_message.Message):
    __slots__ = ("job_id", "target", "queue", "key", "priority", "state", "attempt", "failures", "losses", "input", "output", "failure", "idempotency_key", "reason", "created_at_ns", "due_at_ns", "deadline_at_ns", "started_at_ns", "finished_at_ns")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    LOSSES_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_NS_FIELD_NUMBER: _ClassVar[int]
    DUE_AT_NS_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_AT_NS_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_NS_FIELD_NUMBER: _ClassVar[int]
    FINISHED_AT_NS_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    target: str
    queue: str
    key: str
    priority: int
    state: str
    attempt: int
    failures: int
    losses: int
    input: str
    output: str
    failure: Failure
    idempotency_key: str
    reason: str
    created_at_ns: int
    due_at_ns: int
    deadline_at_ns: int
    started_at_ns: int
    finished_at_ns: int
    def __init__(self, job_id: _Optional[str] = ..., target: _Optional[str] = ..., queue: _Optional[str] = ..., key: _Optional[str] = ..., priority: _Optional[int] = ..., state: _Optional[str] = ..., attempt: _Optional[int] = ..., failures: _Optional[int] = ..., losses: _Optional[int] = ..., input: _Optional[str] = ..., output: _Optional[str] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ..., idempotency_key: _Optional[str] = ..., reason: _Optional[str] = ..., created_at_ns: _Optional[int] = ..., due_at_ns: _Optional[int] = ..., deadline_at_ns: _Optional[int] = ..., started_at_ns: _Optional[int] = ..., finished_at_ns: _Optional[int] = ...) -> None: ...

class ListJobsRequest(_message.Message):
    __slots__ = ("queue", "key", "target", "states", "before", "limit")
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    queue: str
    key: str
    target: str
    states: _containers.RepeatedScalarFieldContainer[str]
    before: str
    limit: int
    def __init__(self, queue: _Optional[str] = ..., key: _Optional[str] = ..., target: _Optional[str] = ..., states: _Optional[_Iterable[str]] = ..., before: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class ListJobsResponse(_message.Message):
    __slots__ = ("jobs",)
    JOBS_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[Job]
    def __init__(self, jobs: _Optional[_Iterable[_Union[Job, _Mapping]]] = ...) -> None: ...

class ListQueuesRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ListQueuesResponse(_message.Message):
    __slots__ = ("queues",)
    QUEUES_FIELD_NUMBER: _ClassVar[int]
    queues: _containers.RepeatedCompositeFieldContainer[Queue]
    def __init__(self, queues: _Optional[_Iterable[_Union[Queue, _Mapping]]] = ...) -> None: ...

class QueueRequest(_message.Message):
    __slots__ = ("name", "by")
    NAME_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    name: str
    by: str
    def __init__(self, name: _Optional[str] = ..., by: _Optional[str] = ...) -> None: ...

class SetQueueLimitsRequest(_message.Message):
    __slots__ = ("name", "concurrency", "key_concurrency", "rate", "per")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CONCURRENCY_FIELD_NUMBER: _ClassVar[int]
    KEY_CONCURRENCY_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    PER_FIELD_NUMBER: _ClassVar[int]
    name: str
    concurrency: int
    key_concurrency: int
    rate: int
    per: str
    def __init__(self, name: _Optional[str] = ..., concurrency: _Optional[int] = ..., key_concurrency: _Optional[int] = ..., rate: _Optional[int] = ..., per: _Optional[str] = ...) -> None: ...

class Queue(_message.Message):
    __slots__ = ("name", "paused", "paused_by", "concurrency", "key_concurrency", "rate", "rate_seconds", "pending", "delayed", "running", "dead", "oldest_seconds", "keys")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    PAUSED_BY_FIELD_NUMBER: _ClassVar[int]
    CONCURRENCY_FIELD_NUMBER: _ClassVar[int]
    KEY_CONCURRENCY_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    RATE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    PENDING_FIELD_NUMBER: _ClassVar[int]
    DELAYED_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    DEAD_FIELD_NUMBER: _ClassVar[int]
    OLDEST_SECONDS_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    name: str
    paused: bool
    paused_by: str
    concurrency: int
    key_concurrency: int
    rate: int
    rate_seconds: float
    pending: int
    delayed: int
    running: int
    dead: int
    oldest_seconds: float
    keys: _containers.RepeatedCompositeFieldContainer[QueueKey]
    def __init__(self, name: _Optional[str] = ..., paused: _Optional[bool] = ..., paused_by: _Optional[str] = ..., concurrency: _Optional[int] = ..., key_concurrency: _Optional[int] = ..., rate: _Optional[int] = ..., rate_seconds: _Optional[float] = ..., pending: _Optional[int] = ..., delayed: _Optional[int] = ..., running: _Optional[int] = ..., dead: _Optional[int] = ..., oldest_seconds: _Optional[float] = ..., keys: _Optional[_Iterable[_Union[QueueKey, _Mapping]]] = ...) -> None: ...

class QueueKey(_message.Message):
    __slots__ = ("key", "pending", "running")
    KEY_FIELD_NUMBER: _ClassVar[int]
    PENDING_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    key: str
    pending: int
    running: int
    def __init__(self, key: _Optional[str] = ..., pending: _Optional[int] = ..., running: _Optional[int] = ...) -> None: ...

class DeadLettersRequest(_message.Message):
    __slots__ = ("ids", "error", "what", "queue", "limit", "by_error", "reason")
    IDS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    WHAT_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    BY_ERROR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ids: _containers.RepeatedScalarFieldContainer[str]
    error: str
    what: str
    queue: str
    limit: int
    by_error: bool
    reason: str
    def __init__(self, ids: _Optional[_Iterable[str]] = ..., error: _Optional[str] = ..., what: _Optional[str] = ..., queue: _Optional[str] = ..., limit: _Optional[int] = ..., by_error: _Optional[bool] = ..., reason: _Optional[str] = ...) -> None: ...

class DeadLetter(_message.Message):
    __slots__ = ("kind", "id", "what", "queue", "step", "attempt", "failure", "at_ns")
    KIND_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    WHAT_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    AT_NS_FIELD_NUMBER: _ClassVar[int]
    kind: str
    id: str
    what: str
    queue: str
    step: str
    attempt: int
    failure: Failure
    at_ns: int
    def __init__(self, kind: _Optional[str] = ..., id: _Optional[str] = ..., what: _Optional[str] = ..., queue: _Optional[str] = ..., step: _Optional[str] = ..., attempt: _Optional[int] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ..., at_ns: _Optional[int] = ...) -> None: ...

class DeadGroup(_message.Message):
    __slots__ = ("kind", "what", "error", "count", "last_at_ns")
    KIND_FIELD_NUMBER: _ClassVar[int]
    WHAT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    LAST_AT_NS_FIELD_NUMBER: _ClassVar[int]
    kind: str
    what: str
    error: str
    count: int
    last_at_ns: int
    def __init__(self, kind: _Optional[str] = ..., what: _Optional[str] = ..., error: _Optional[str] = ..., count: _Optional[int] = ..., last_at_ns: _Optional[int] = ...) -> None: ...

class ListDeadLettersResponse(_message.Message):
    __slots__ = ("letters", "groups")
    LETTERS_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    letters: _containers.RepeatedCompositeFieldContainer[DeadLetter]
    groups: _containers.RepeatedCompositeFieldContainer[DeadGroup]
    def __init__(self, letters: _Optional[_Iterable[_Union[DeadLetter, _Mapping]]] = ..., groups: _Optional[_Iterable[_Union[DeadGroup, _Mapping]]] = ...) -> None: ...

class DecidedDeadLetters(_message.Message):
    __slots__ = ("decided",)
    class DecidedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    DECIDED_FIELD_NUMBER: _ClassVar[int]
    decided: _containers.ScalarMap[str, str]
    def __init__(self, decided: _Optional[_Mapping[str, str]] = ...) -> None: ...

class SignalRunRequest(_message.Message):
    __slots__ = ("run_id", "name", "value", "key", "by")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    name: str
    value: str
    key: str
    by: str
    def __init__(self, run_id: _Optional[str] = ..., name: _Optional[str] = ..., value: _Optional[str] = ..., key: _Optional[str] = ..., by: _Optional[str] = ...) -> None: ...

class SignalRunResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DecideApprovalRequest(_message.Message):
    __slots__ = ("run_id", "step", "approved", "by", "reason")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    APPROVED_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    step: str
    approved: bool
    by: str
    reason: str
    def __init__(self, run_id: _Optional[str] = ..., step: _Optional[str] = ..., approved: _Optional[bool] = ..., by: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class DecideApprovalResponse(_message.Message):
    __slots__ = ("step",)
    STEP_FIELD_NUMBER: _ClassVar[int]
    step: str
    def __init__(self, step: _Optional[str] = ...) -> None: ...

class HoldRunRequest(_message.Message):
    __slots__ = ("run_id", "by", "reason")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    by: str
    reason: str
    def __init__(self, run_id: _Optional[str] = ..., by: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class HoldRunResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class QueryRunRequest(_message.Message):
    __slots__ = ("run_id", "name")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    name: str
    def __init__(self, run_id: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class QueryRunResponse(_message.Message):
    __slots__ = ("answer",)
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    answer: str
    def __init__(self, answer: _Optional[str] = ...) -> None: ...

class CancelRunsRequest(_message.Message):
    __slots__ = ("where", "workflow_name", "phases", "by", "reason", "dry_run")
    class WhereEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    WHERE_FIELD_NUMBER: _ClassVar[int]
    WORKFLOW_NAME_FIELD_NUMBER: _ClassVar[int]
    PHASES_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    where: _containers.ScalarMap[str, str]
    workflow_name: str
    phases: _containers.RepeatedScalarFieldContainer[str]
    by: str
    reason: str
    dry_run: bool
    def __init__(self, where: _Optional[_Mapping[str, str]] = ..., workflow_name: _Optional[str] = ..., phases: _Optional[_Iterable[str]] = ..., by: _Optional[str] = ..., reason: _Optional[str] = ..., dry_run: _Optional[bool] = ...) -> None: ...

class CancelRunsResponse(_message.Message):
    __slots__ = ("matched", "asked", "ended_meanwhile")
    MATCHED_FIELD_NUMBER: _ClassVar[int]
    ASKED_FIELD_NUMBER: _ClassVar[int]
    ENDED_MEANWHILE_FIELD_NUMBER: _ClassVar[int]
    matched: int
    asked: int
    ended_meanwhile: int
    def __init__(self, matched: _Optional[int] = ..., asked: _Optional[int] = ..., ended_meanwhile: _Optional[int] = ...) -> None: ...
