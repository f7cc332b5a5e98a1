// How much memory values take, about: enough to hold a budget, cheap enough for every put.
//   Z1. The work is bounded whatever the value: of large collections a sample stands for the rest.

/** Bytes of an entry beside its key and value: map slot, object, flags. */
export const entryOverhead = 96;

/** Puts of an object after which it is measured again: that reads all that hangs on it. */
export const putsUnmeasured = 8;

export const isObject = (value: unknown): boolean =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const sampleMax = 8;
const depthMax = 4;
const reference = 8;

/** Bytes that a value takes on the heap, about. */
export function approximateBytes(value: unknown, depth = 0): number {
  switch (typeof value) {
    case "string":
      return 16 + value.length;
    case "bigint":
      return 24;
    case "object":
      return value === null ? reference : ofObject(value, depth);
    default:
      return reference;
  }
}

function ofObject(value: object, depth: number): number {
  if (ArrayBuffer.isView(value)) return 64 + value.byteLength;
  if (depth >= depthMax) return 64;
  if (Array.isArray(value)) {
    const { length } = value as readonly unknown[];
    const step = Math.max(1, Math.ceil(length / sampleMax));
    let sampled = 0;
    let samples = 0;
    for (let i = 0; i < length; i += step, samples++) {
      sampled += ofElement((value as readonly unknown[])[i], depth);
    }
    return 32 + reference * length + (samples === 0 ? 0 : (sampled / samples) * length);
  }
  if (value instanceof Map || value instanceof Set) return ofCollection(value, depth);
  // A loop over names makes no array of them, and this runs at every put.
  let names = 0;
  let bytes = 32;
  for (const name in value) {
    if (++names > 4 * sampleMax) break;
    bytes += reference + ofElement((value as Record<string, unknown>)[name], depth);
  }
  if (names <= 4 * sampleMax) return bytes;
  return (bytes * Object.keys(value).length) / (4 * sampleMax);
}

const ofElement = (value: unknown, depth: number): number =>
  typeof value === "number" ? reference : approximateBytes(value, depth + 1);

function ofCollection(
  collection: ReadonlyMap<unknown, unknown> | ReadonlySet<unknown>,
  depth: number,
): number {
  let sampled = 0;
  let samples = 0;
  for (const [key, value] of collection.entries()) {
    if (samples++ >= sampleMax) break;
    sampled += 32 + approximateBytes(key, depth + 1) + approximateBytes(value, depth + 1);
  }
  const counted = Math.min(samples, sampleMax);
  return 64 + (counted === 0 ? 0 : (sampled / counted) * collection.size);
}
