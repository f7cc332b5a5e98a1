// What fills a row up to its usual size.

import { below, lettersOf } from "./random.ts";

/** Letters so that the row has `usual` bytes where the rest of it has `size`, give or take a fifth. */
export function extraOf(
  seed: number,
  place: number,
  { size, usual }: { readonly size: number; readonly usual: number },
): string {
  const wanted = usual - size;
  if (wanted <= 0) return "";
  const delta = Math.round(wanted / 5);
  const length = wanted - delta + (delta === 0 ? 0 : below(seed, place, 2 * delta));
  return lettersOf(seed, place + 1, length);
}
