"""The table of attacks and what they did to the server."""

MIB = 1 << 20
HEAD = (
    "| case | workers | p99 alone, ms | p99 beside it, ms | p99 on another server, ms | longest, ms | MiB added | MiB left | descriptors | cores |"
    " server | verdict |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
)


def row(figures):
    """A row of the table."""
    ended = f"0 in {figures.exit_seconds:.2f} s" if figures.exit_code == 0 else f"{figures.exit_code}"
    first = figures.verdict.split(": SERVER")[0].splitlines()[0][:160] if figures.verdict else "stopped early"
    return (
        f"| {figures.name} | {figures.workers} | {figures.baseline_p99:.1f} | {figures.p99:.1f} | {figures.control_p99:.1f} | {figures.longest:.0f}"
        f" | {figures.added / MIB:.0f} | {figures.left / MIB:.0f} | {figures.descriptors} | {figures.cores:.2f}"
        f" | {ended} | {first} |"
    )


def render(all_figures):
    """The table, in Markdown."""
    return "\n".join([HEAD, *map(row, all_figures)])
