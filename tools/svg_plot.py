"""What the plots of eval reports share."""

import json
import math
import sys


def ticks(low, high):
    """1, 2 and 5 times powers of ten from `low` to `high`."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [m * 10.0**power for power in powers for m in (1, 2, 5) if low <= m * 10.0**power <= high]


def free_place(places, box_of, taken, may_stand=lambda place, box: True):
    """Where a label covers nothing of `taken` and may stand: the first place that is free, or else the first; taken now.

    A box is (left, top, right, bottom).
    """
    def is_free(place):
        box = box_of(*place)
        return may_stand(place, box) and all(box[2] < b[0] or b[2] < box[0] or box[3] < b[1] or b[3] < box[1] for b in taken)

    chosen = next(filter(is_free, places), places[0])
    taken.append(box_of(*chosen))
    return chosen


def main(usage, kind, list_name, missing, draw):
    """Draws reports of `reprise eval KIND` with something in `list_name`, all arguments but the last, into the last one: the
    first report with the lists of the others behind its own."""
    if len(sys.argv) < 3:
        print(usage, file=sys.stderr)
        return 2
    reports = []
    for path in sys.argv[1:-1]:
        with open(path, encoding="utf-8") as file:
            reports.append(json.load(file))
        if reports[-1].get("eval") != kind or not reports[-1].get(list_name):
            print(f"{path}: {missing}", file=sys.stderr)
            return 1
    rows = [row for report in reports for row in report[list_name]]
    with open(sys.argv[-1], "w", encoding="utf-8") as out:
        out.write(draw(reports[0] | {list_name: rows}))
    return 0
