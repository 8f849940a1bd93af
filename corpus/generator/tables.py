"""CSV files as loggers write them. Windows have four rows, the channels are `x` and `y`."""

import json

WINDOW = 4


def rows(count, first=0):
    """Returns rows of x and y, as numbers."""
    return [(1.5 + 0.5 * index, 10.25 - 0.25 * index) for index in range(first, first + count)]


def text(values, separator=",", end="\n", decimal="."):
    return "".join(separator.join(f"{value:g}".replace(".", decimal) for value in row) + end for row in values)


def series_text(series):
    """Returns the expected series: rows of x and y, an empty line between two series."""
    return "x,y\n" + "\n".join(text(values) for values in series)


EIGHT = rows(8)
HEADER = "x,y\n"


def add_all(corpus):
    def add(name, content, case, series=None, options=None, refusal=None, counts=None, stream="rows"):
        content = content.encode() if isinstance(content, str) else content
        options = json.dumps(options, ensure_ascii=False) if options else "-"
        if refusal is not None:
            corpus.add(f"tables/{name}.csv", content, case, refusal=refusal, options=options, stream=stream)
            return
        used = sum(len(values) for values in series if len(values) >= WINDOW)
        unused = sum(len(values) for values in series if len(values) < WINDOW)
        found = {"used": used, "unused": unused, **(counts or {})}
        notes = " ".join(f"{name}={count}" for name, count in found.items())
        # Series without a window leave nothing that could be compared.
        series = [values for values in series if len(values) >= WINDOW]
        corpus.add(f"tables/{name}.csv", content, case, series_text(series), 0, options=options, notes=notes, stream="rows")

    add_forms(add)
    add_columns(add)
    add_missing(add)
    add_times(add)
    add_broken(add)


def add_forms(add):
    one = [EIGHT]
    add("plain", HEADER + text(EIGHT), "a header, commas, points", one)
    add("no-header", text(EIGHT), "no header, the channels in order", one)
    add("five-rows", HEADER + text(rows(5)), "a window that overlaps the first, so that no row is left out", [rows(5)])
    add("byte-order-mark", "\ufeff" + HEADER + text(EIGHT), "a byte order mark, as Excel writes it", one)
    add("crlf", "x,y\r\n" + text(EIGHT, end="\r\n"), "CRLF", one)
    add("cr", "x,y\r" + text(EIGHT, end="\r"), "CR", one)
    add("no-last-end", HEADER + text(EIGHT)[:-1], "no line break at the end", one)
    add("semicolons", "x;y\n" + text(EIGHT, ";"), "semicolons", one)
    add("decimal-commas", "x;y\n" + text(EIGHT, ";", decimal=","), "semicolons and decimal commas", one)
    add("tabs", "x\ty\n" + text(EIGHT, "\t", decimal=","), "tabs and decimal commas", one)
    quoted = "".join(f'"{x:g}","{y:g}"\n'.replace(".", ",") for x, y in EIGHT)
    add("quoted-decimal-commas", '"x","y"\n' + quoted, "commas between quoted numbers with decimal commas", one, {"decimal": ","})
    quoted = "".join(f'"{x:g}", "{y:g}"\n' for x, y in EIGHT)
    add("quoted", '"x", "y"\n' + quoted, "quoted cells", one)
    add("blank-lines", "\n# logger 7\n" + HEADER + "\n" + text(EIGHT).replace("\n", "\n\n"), "blank lines and comments", one)
    add("spaces", " x , y \n" + text(EIGHT, " ,  "), "spaces around cells", one)
    add("trailing-separators", "x,y,\n" + text(EIGHT, end=",\n"), "a separator at the end of each line", one)
    exponents = "".join(f"{x:e},{y:E}\n" for x, y in EIGHT)
    add("exponents", HEADER + exponents, "numbers with exponents", one)
    add("latin-1", "time,x [°C],y [µV]\n".encode("latin-1") + "".join(f"{i},{x:g},{y:g}\n" for i, (x, y) in enumerate(EIGHT)).encode(), "a header in Latin-1", one)


def add_columns(add):
    one = [EIGHT]
    swapped = text([(y, x) for x, y in EIGHT])
    add("other-order", "y,x\n" + swapped, "a header in another order", one)
    extra = "".join(f"{x:g},{7 * i},{y:g},ok\n" for i, (x, y) in enumerate(EIGHT))
    add("more-columns", "x,counter,y,state\n" + extra, "further columns, one of them a text", one)
    add("case-and-units", "X (V),Y [mA]\n" + text(EIGHT), "names in capitals with units in brackets", one)
    add("units-row", HEADER + "V,mA\n" + text(EIGHT), "a row of units", one)
    add("toa5", "TOA5,Logger 7,CR1000\n" + HEADER + "V,mA\nAvg,Smp\n" + text(EIGHT), "lines before and after the header", one)
    preamble = "Logger;7\nSerial number;1234\n\n" + "x;y\n" + text(EIGHT, ";")
    add("preamble", preamble, "lines about the logger before the header", one)
    add("repeated-header", HEADER + text(rows(4)) + HEADER + text(rows(4, 4)), "the header again, as after a restart", one)
    add("changed-order", HEADER + text(rows(4)) + "y,x\n" + text([(y, x) for x, y in rows(4, 4)]), "two files in one, the second in another order", one)
    by_number = "".join(f"{i};{x:g};{y:g}\n" for i, (x, y) in enumerate(EIGHT))
    add("numbered-columns", by_number, "columns by their numbers, without a header", one, {"columns": [2, 3]})
    named = "Temperature,Humidity\n" + text(EIGHT)
    add("named-columns", named, "columns with other names", one, {"columns": ["Temperature", "Humidity"]})
    add("missing-channel", "x,z\n" + text(EIGHT), "a header without one of the channels", refusal="header without y|lacks y|without the columns y")
    add("unknown-header", "a,b\n" + text(EIGHT), "a header that names none of the channels", refusal="names none of x, y")
    three = "".join(f"{i},{x:g},{y:g}\n" for i, (x, y) in enumerate(EIGHT))
    add("too-many-columns", three, "three columns without a header", refusal="3 columns")


def add_missing(add):
    nine = rows(9)

    def with_cell(cell, row=4):
        lines = text(nine).splitlines()
        lines[row] = lines[row].split(",")[0] + "," + cell
        return HEADER + "\n".join(lines) + "\n"

    split = [nine[:4], nine[5:]]
    for name, cell in [("empty", ""), ("nan", "NaN"), ("not-available", "N/A"), ("dash", "-"), ("null", "null")]:
        add(f"missing-{name}", with_cell(cell), f"a missing number: {cell or 'an empty cell'}", split, counts={"missing": 1})
    add("missing-declared", with_cell("-9999"), "a missing number, as the form of the table says", split, {"missing": ["-9999"]}, counts={"missing": 1})
    held = [*nine[:4], (nine[4][0], nine[3][1]), *nine[5:]]
    add("held", with_cell(""), "a missing number that is replaced by the last one", [held], {"max_held_rows": 1}, counts={"held": 1})
    lines = with_cell("").splitlines()
    lines[6] = lines[6].split(",")[0] + ","
    two = "\n".join(lines) + "\n"
    held = [*nine[:4], (nine[4][0], nine[3][1])]
    add("held-too-long", two, "two missing numbers in succession, of which one may be replaced", [held, nine[6:]], {"max_held_rows": 1}, counts={"held": 1, "missing": 1})
    empty = HEADER + text(rows(4)) + ",\n" * 5 + text(rows(4, 4))
    add("missing-all", empty, "rows without a single number", [rows(4), rows(4, 4)], counts={"missing": 5})


def add_times(add):
    def timed(times, values, header="time,x,y\n"):
        return header + "".join(f"{time},{x:g},{y:g}\n" for time, (x, y) in zip(times, values))

    seconds = {"time": ["time"], "max_gap_seconds": 1.5}
    add("time-ignored", timed([0, 1, 2, 3, 100, 101, 102, 103], EIGHT), "a time that is not declared is not looked at", [EIGHT])
    add("time-without-gap", timed(range(8), EIGHT), "a time without a gap", [EIGHT], seconds)
    gap = [0, 1, 2, 3, 60, 61, 62, 63]
    add("time-gap", timed(gap, EIGHT), "a gap of the time", [EIGHT[:4], EIGHT[4:]], seconds, counts={"gaps": 1})
    back = [10, 11, 12, 13, 2, 3, 4, 5]
    add("time-back", timed(back, EIGHT), "a clock that was set back", [EIGHT[:4], EIGHT[4:]], seconds, counts={"gaps": 1})
    iso = [f"2024-02-29T23:59:5{i}Z" for i in range(8)]
    add("time-iso", timed(iso, EIGHT), "times of ISO 8601", [EIGHT], seconds)
    zones = ["2024-03-01T01:00:00+01:00", "2024-03-01T00:00:01Z", "2024-02-29T19:00:02-05:00", "2024-03-01T00:00:03Z"]
    add("time-zones", timed(zones, EIGHT[:4]), "times in several zones", [EIGHT[:4]], seconds)
    lines = text(EIGHT, ";", decimal=",").splitlines(keepends=True)
    date_time = "".join(f"29.02.2024;23:59:5{i};{line}" for i, line in enumerate(lines))
    add("date-and-time", "date;time;x;y\n" + date_time, "date and time in two columns", [EIGHT], {"time": ["date", "time"], "max_gap_seconds": 1})
    american = [f"2/29/2024 11:59:5{i} PM" for i in range(8)]
    add("time-american", timed(american, EIGHT), "month, day, year and PM", [EIGHT], {**seconds, "time_format": "mdy"})
    millis = [1_700_000_000_000 + 1000 * i for i in range(8)]
    add("time-milliseconds", timed(millis, EIGHT), "milliseconds since 1970", [EIGHT], {**seconds, "time_format": "milliseconds"})
    ambiguous = [f"01/02/2024 00:00:0{i}" for i in range(8)]
    add("time-ambiguous", timed(ambiguous, EIGHT), "dates with two meanings", refusal="is not a time", options=seconds)


def add_broken(add):
    nine = rows(9)
    lines = text(nine).splitlines()

    def with_line(line, row=4):
        changed = [*lines[:row], line, *lines[row + 1 :]]
        return HEADER + "\n".join(changed) + "\n"

    split = [nine[:4], nine[5:]]
    for name, line, case in [
        ("text-cell", "3.5,over", "a text in the place of a number"),
        ("half-line", "3.5", "half a line, as a power cut leaves it"),
        ("too-many-cells", "3.5,9.25,1,2", "too many cells"),
        ("infinite", "inf,9.25", "a number that is not finite"),
        ("too-large", "1e39,9.25", "a number that is too large"),
        ("thousands", '"1,234.5",9.25', "a thousands separator"),
        ("lost-quote", '"3.5,9.25', "a lost quote"),
        ("zeros", "\0\0\0\0\0\0", "zeros, as a file system leaves them after a power cut"),
    ]:
        add(name, with_line(line), case, split, counts={"refused": 1})
    lost = HEADER + text(rows(4)) + "x,z\n" + text(rows(4, 4))
    add("lost-header", lost, "a second header without one of the channels", refusal="header without y|lacks y", stream="-")
    add("three-rows", HEADER + text(rows(3)), "fewer rows than a window has", refusal="3 rows")
    add("header-only", HEADER, "nothing but a header", refusal="rows")
    add("utf-16", "x,y\n1,2\n".encode("utf-16"), "UTF-16, as Excel writes \"Unicode text\"", refusal="UTF-16")
