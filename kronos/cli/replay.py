"""`kronos replay`: a recorded run against the checked-out code, and a debugger in the middle of it.

Exit codes: 0 every outcome equal, recorded failures included; 3 a step failed where the recording did not; 4 diverged,
or an effect that was not recorded; 5 no debugger came; 6 nothing was compared; 2 unknown run or step.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from kronos.cli.inputs import read_assignments
from kronos.cli.output import note, print_error, print_json, styled
from kronos.errors import InvalidInput

if TYPE_CHECKING:
    from kronos.debugger.compare import Difference
    from kronos.debugger.replay import Replay
    from kronos.debugger.replay_fork import ForkedReplay
    from kronos.debugger.replay_verdict import Verdict

__all__ = ["replay"]

NO_DEBUGGER: Final = 5
DEFAULT_LISTEN: Final = "127.0.0.1:0"
_COLOURS: Final = {"OK": "green", "SERVED": "cyan", "SKIPPED": "yellow"}


def replay(
    run: Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")],
    *,
    step: Annotated[str | None, typer.Option("--step", metavar="NAME", help="Replay only this step.")] = None,
    break_at: Annotated[
        str | None, typer.Option("--break-at", metavar="STEP", help="Stop on the first line of this step's function.")
    ] = None,
    fork_from: Annotated[
        str | None,
        typer.Option("--fork-from", metavar="STEP", help="Feed what this step now gives to those that depend on it."),
    ] = None,
    set_output: Annotated[
        list[str] | None,
        typer.Option("--set-output", metavar="STEP=JSON", help="With --fork-from: stands for executing the step."),
    ] = None,
    use_pdb: Annotated[bool, typer.Option("--pdb", help="Stop in pdb, here in the terminal.")] = False,
    listen: Annotated[
        str, typer.Option("--listen", metavar="HOST:PORT", help="Where a debugger attaches; port 0 takes a free one.")
    ] = DEFAULT_LISTEN,
    wait_s: Annotated[float, typer.Option("--wait-s", min=0.1, help="How long to wait for a debugger.")] = 300.0,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Run the checked-out code on a run's recorded inputs, and compare every outcome.

    Nothing is stored, nothing leaves: recorded answers are served, external steps are not executed, and a step that
    reaches for the network or starts a process is stopped and named (a seatbelt, not a sandbox).
    """
    _check_options(break_at, use_pdb=use_pdb, json=json, listen=listen)
    outputs = _read_outputs(fork_from, set_output, step)
    if break_at is not None and not use_pdb:
        from kronos.debugger.breakpoints_attach import restart_without_frozen_modules

        restart_without_frozen_modules(sys.argv[1:])
    from kronos.kernel.ids import parse_run_id

    run_id = parse_run_id(run)
    from kronos.app import Kronos
    from kronos.app.data_folder import dataset_cache
    from kronos.debugger.replay import Replay
    from kronos.debugger.replay_fork import ForkedReplay

    with ExitStack() as stack:
        opened = stack.enter_context(Kronos.open())
        ready = Replay(
            run_id,
            history=opened.history,
            recordings=opened.recordings,
            blobs=opened.blobs,
            index=opened.datasets,
            cache_dir=dataset_cache(opened.settings),
            root=Path.cwd(),
        )
        for name in (step, break_at):
            if name is not None:
                ready.check_step(name)
        forked = None if fork_from is None else ForkedReplay(ready, fork_from, outputs)
        _introduce(ready)
        if break_at is not None and not _bring_debugger(stack, listen, wait_s, use_pdb=use_pdb):
            stack.close()
            sys.exit(NO_DEBUGGER)
        if json:
            stack.enter_context(redirect_stdout(sys.stderr))  # what a step prints is no data of ours
        verdicts: list[Verdict] = []
        run_ = ready.run(step=step, break_at=break_at) if forked is None else forked.run(break_at=break_at)
        for verdict in run_:
            verdicts.append(verdict)
            if not json:
                _print_line(ready, verdict)
    sys.exit(_conclude(ready, verdicts, forked, json=json))


def _check_options(break_at: str | None, *, use_pdb: bool, json: bool, listen: str) -> None:
    if break_at is None:
        if use_pdb or listen != DEFAULT_LISTEN:
            raise InvalidInput("--pdb and --listen say how to stop: say where with --break-at STEP", field="break_at")
        return
    if use_pdb and json:
        raise InvalidInput("--pdb talks on standard output, where --json prints data: use one of them", field="json")
    if "@" in break_at:
        raise InvalidInput(
            f"--break-at {break_at}: a debugger stops where a step begins, not at a market event: `kronos state RUN "
            f"{break_at}` shows portfolio and variables there; to stop, give the step alone",
            field="break_at",
            value=break_at,
        )


def _read_outputs(fork_from: str | None, given: list[str] | None, step: str | None) -> dict[str, bytes]:
    if fork_from is None and given:
        raise InvalidInput("--set-output is fed to what follows: say --fork-from STEP", field="set_output")
    if fork_from is not None and step is not None:
        raise InvalidInput("--step replays one step, --fork-from all that follow one: give one of them", field="step")
    from kronos.kernel import canonical

    found: dict[str, bytes] = {}
    for name, text in read_assignments(given, "--set-output").items():
        try:
            found[name] = canonical.encode(canonical.decode(text.encode()))
        except InvalidInput as error:
            raise InvalidInput(f"--set-output {name}: {error.message}", field="set_output", value=text) from None
    return found


def _introduce(ready: Replay) -> None:
    recorded = ready.recording
    note(f"replay of {recorded.run.workflow} {recorded.run.id}, {recorded.run.phase}, against the code in {Path.cwd()}")


def _bring_debugger(stack: ExitStack, listen: str, wait_s: float, *, use_pdb: bool) -> bool:
    """Make sure that somebody is there to stop for; return whether."""
    import os

    from kronos.debugger.breakpoints_attach import NoDebugger, pdb_stops, wait_for_debugger
    from kronos.settings import parse_address

    if use_pdb:
        stack.enter_context(pdb_stops())
        return True
    try:
        host, port = parse_address(listen)
    except ValueError as error:
        raise InvalidInput(f"--listen {listen}: {error}", field="listen", value=listen) from None

    def announce(bound_host: str, bound_port: int) -> None:
        note(f"pid {os.getpid()} waits {wait_s:g} s for a debugger at {bound_host}:{bound_port}")

    try:
        wait_for_debugger(host, port, wait_s=wait_s, announce=announce)
    except NoDebugger as error:
        print_error(error.message)
        return False
    return True


def _print_line(ready: Replay, verdict: Verdict) -> None:
    name = _name(ready, verdict)
    width = max(map(len, ready.steps), default=0)
    status = styled(verdict.status, _COLOURS.get(verdict.status, "red"))
    line = f"{name:<{width}}  {status}  {verdict.detail}".rstrip()
    print(line + _changed(verdict), flush=True)
    for difference in verdict.differences[1:5]:
        print(f"{'':<{width}}    {difference}")
    if len(verdict.differences) > 5:
        print(f"{'':<{width}}    and {len(verdict.differences) - 5} more fields; --json lists them")
    for text in verdict.notes:
        note("\n".join(f"{'':<{width}}    {part}" for part in text.splitlines()))


def _changed(verdict: Verdict) -> str:
    changed = [what for what, is_so in (("input", verdict.input_changed), ("code", verdict.code_changed)) if is_so]
    return f"  ({' and '.join(changed)} {'have' if changed[1:] else 'has'} changed since the run)" if changed else ""


def _conclude(ready: Replay, verdicts: list[Verdict], forked: ForkedReplay | None, *, json: bool) -> int:
    """Say what it all came to, and return the exit code."""
    from kronos.debugger.replay_verdict import NOTHING_COMPARED, exit_code

    result = None if forked is None else forked.result
    code = exit_code(verdicts, result=result)
    if code == NOTHING_COMPARED:
        note("nothing was compared: no step that could be executed here has an outcome on record")
    elif forked is not None and not json:
        _summarise(verdicts, result)
    if json:
        print_json(_report(ready, verdicts, code, result))
    return code


def _summarise(verdicts: list[Verdict], result: list[Difference] | None) -> None:
    """Say which steps came out otherwise, and where first."""
    executed = [verdict for verdict in verdicts if verdict.status != "SERVED"]
    other = [verdict for verdict in executed if verdict.status != "OK"]
    note(f"{len(other)} of {len(executed)} executed steps differ" + (f", first: {other[0].step}" if other else ""))
    if result is not None:
        note("the run's result is the recorded one" if not result else f"the run's result differs: {result[0]}")


def _name(ready: Replay, verdict: Verdict) -> str:
    several = len(ready.recording.attempts.get(verdict.step, ())) > 1
    return f"{verdict.step} (attempt {verdict.attempt})" if several else verdict.step


def _report(ready: Replay, verdicts: list[Verdict], code: int, result: list[Difference] | None) -> dict[str, Any]:
    run = ready.recording.run
    return {
        "run_id": run.id,
        "workflow": run.workflow,
        "exit_code": code,
        "equal": code == 0,
        "code_changed": any(verdict.code_changed for verdict in verdicts),
        "result": None if result is None else _differences(result),
        "steps": [
            {
                "step": verdict.step,
                "attempt": verdict.attempt,
                "status": verdict.status.value,
                "detail": verdict.detail,
                "code_changed": verdict.code_changed,
                "input_changed": verdict.input_changed,
                "differences": _differences(verdict.differences),
                "notes": verdict.notes,
                "seconds": round(verdict.seconds, 6),
            }
            for verdict in verdicts
        ],
    }


def _differences(found: list[Difference]) -> list[dict[str, Any]]:
    return [{"path": each.path, "recorded": each.recorded, "replayed": each.replayed} for each in found]
