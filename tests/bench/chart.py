# SPDX-License-Identifier: MIT
"""The ratios as one SVG: a bar a row, its 95 % interval, the goal as a tick; 1.0 is where both cost the same. And curves of what grows."""
import math
from xml.sax.saxutils import escape

ROW, LEFT, WIDTH = 30, 470, 420


def bars(rows, facts):
    most = max([1.2] + [high for *_, high, _ in rows])
    scale = WIDTH / most
    height = 70 + ROW * len(rows)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 90}" height="{height}" font-family="sans-serif" font-size="13">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="10" y="20" font-weight="bold">jotgate against its peers: ratio, less is better ({escape(facts["cpu"])})</text>',
        f'<line x1="{LEFT + scale:.1f}" y1="30" x2="{LEFT + scale:.1f}" y2="{height - 30}" stroke="#888" stroke-dasharray="3 3"/>',
        f'<text x="{LEFT + scale:.1f}" y="{height - 12}" text-anchor="middle" fill="#555">1.0</text>',
    ]
    for i, (_, what, ratio, low, high, goal) in enumerate(rows):
        y = 38 + ROW * i
        colour = "#3a7" if goal is None or ratio <= goal else "#c63"
        parts.append(f'<text x="{LEFT - 10}" y="{y + 14}" text-anchor="end" font-size="11">{escape(what)}</text>')
        parts.append(f'<rect x="{LEFT}" y="{y}" width="{ratio * scale:.1f}" height="18" fill="{colour}"/>')
        parts.append(f'<line x1="{LEFT + low * scale:.1f}" y1="{y + 9}" x2="{LEFT + high * scale:.1f}" y2="{y + 9}" stroke="black"/>')
        if goal is not None:
            parts.append(f'<line x1="{LEFT + goal * scale:.1f}" y1="{y - 3}" x2="{LEFT + goal * scale:.1f}" y2="{y + 21}" stroke="black" stroke-width="2"/>')
        parts.append(f'<text x="{LEFT + max(ratio, high) * scale + 6:.1f}" y="{y + 14}">{ratio:.2f}</text>')
    parts.append("</svg>\n")
    return "\n".join(parts)


def curves(lines):
    """Each as a multiple of its first point, over a logarithmic axis: a flat line costs the same however much there is."""
    left, width, top, height = 60, 560, 40, 260
    most_n = max(n for points in lines.values() for n, _ in points)
    most = max([2.0] + [value / points[0][1] for points in lines.values() for _, value in points])
    x = lambda n: left + width * math.log10(n) / math.log10(most_n)
    y = lambda factor: top + height * (1 - factor / (most * 1.05))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 40}" height="{top + height + 60 + 18 * len(lines)}" '
        'font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        '<text x="10" y="20" font-weight="bold">Instructions as things grow, of the first point = 1</text>',
    ]
    for factor in range(0, int(most) + 1, max(1, int(most / 5))):
        parts.append(f'<line x1="{left}" y1="{y(factor):.1f}" x2="{left + width}" y2="{y(factor):.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 8}" y="{y(factor) + 4:.1f}" text-anchor="end">{factor}</text>')
    for power in range(int(math.log10(most_n)) + 1):
        parts.append(f'<text x="{x(10 ** power):.1f}" y="{top + height + 18}" text-anchor="middle">{10 ** power:,}</text>')
    for i, (what, points) in enumerate(lines.items()):
        colour = ("#37a", "#3a7", "#c63", "#a3a", "#777")[i % 5]
        line = " ".join(f"{x(n):.1f},{y(value / points[0][1]):.1f}" for n, value in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="{left}" y="{top + height + 44 + 18 * i}" fill="{colour}">{escape(what)}</text>')
    parts.append("</svg>\n")
    return "\n".join(parts)
