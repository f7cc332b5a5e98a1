// Sizes as people read them.

import { KiB, MiB } from "./limits.ts";

/** Bytes in the unit that tells two of them apart. */
export function sizeText(bytes: number): string {
  if (bytes < KiB) return `${bytes} bytes`;
  return bytes < MiB ? `${(bytes / KiB).toFixed(1)} KiB` : `${(bytes / MiB).toFixed(1)} MiB`;
}
