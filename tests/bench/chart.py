# SPDX-License-Identifier: MIT
"""The ratios as one SVG: a bar a row, its 95 % interval, the goal as a tick; 1.0 is where both cost the same."""
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
