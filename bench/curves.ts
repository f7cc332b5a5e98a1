// Shares of a throughput over intervals, as an SVG of lines. Pure.

import type { Summary } from "./statistics.ts";

export interface Curve {
  readonly name: string;
  readonly points: readonly { readonly at: number; readonly share: Summary }[];
}

const size = { width: 640, height: 360, left: 56, right: 150, top: 24, bottom: 48 } as const;
const colours = ["#0b6e99", "#d9480f", "#2b8a3e", "#862e9c"];

/** Intervals lie logarithmically; bars reach from the least to the greatest round. */
export function curves(drawn: readonly Curve[]): string {
  const all = drawn.flatMap(({ points }) => points);
  const [first, last] = [
    Math.min(...all.map(({ at }) => at)),
    Math.max(...all.map(({ at }) => at)),
  ];
  const most = Math.max(1, ...all.map(({ share }) => share.max));
  const x = (at: number): number => {
    const along = first === last ? 0.5 : Math.log(at / first) / Math.log(last / first);
    return round(size.left + along * (size.width - size.left - size.right));
  };
  const y = (share: number): number =>
    round(size.height - size.bottom - (share / most) * (size.height - size.bottom - size.top));
  const ticks = [...new Set(all.map(({ at }) => at))];
  const grid = [0, 0.25, 0.5, 0.75, 1].map(
    (share) =>
      `<line x1="${size.left}" x2="${size.width - size.right}" y1="${y(share)}" y2="${y(share)}" stroke="#ccc"/>` +
      `<text x="${size.left - 8}" y="${y(share) + 4}" text-anchor="end">${share * 100} %</text>`,
  );
  const times = ticks.map(
    (at) =>
      `<text x="${x(at)}" y="${size.height - size.bottom + 20}" text-anchor="middle">${at} s</text>`,
  );
  const lines = drawn.map(({ name, points }, index) => {
    const colour = colours[index % colours.length]!;
    const path = points.map(({ at, share }) => `${x(at)},${y(share.median)}`).join(" ");
    const bars = points.map(
      ({ at, share }) =>
        `<line x1="${x(at)}" x2="${x(at)}" y1="${y(share.min)}" y2="${y(share.max)}" stroke="${colour}"/>` +
        `<circle cx="${x(at)}" cy="${y(share.median)}" r="3" fill="${colour}"/>`,
    );
    const legend = `<text x="${size.width - size.right + 12}" y="${size.top + 20 * index + 8}" fill="${colour}">${name}</text>`;
    return `<polyline points="${path}" fill="none" stroke="${colour}"/>${bars.join("")}${legend}`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size.width} ${size.height}" font-family="sans-serif" font-size="12">`,
    `<rect width="100%" height="100%" fill="#fff"/>`,
    ...grid,
    ...times,
    `<text x="${size.left}" y="${size.height - 8}">Interval of checkpoints, and throughput as a share of that without any</text>`,
    ...lines,
    `</svg>`,
    "",
  ].join("\n");
}

const round = (value: number): number => Math.round(value * 10) / 10;
