// How much memory values take, about: enough to hold a budget, cheap enough for every put.
//   Z1. The work is bounded whatever the value: of large collections a sample stands for the rest.

/** Bytes of an entry beside its key and value: map slot, object, flags. */
export const entryOverhead = 96;

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
      sampled += approximateBytes((value as readonly unknown[])[i], depth + 1);
    }
    return 32 + reference * length + (samples === 0 ? 0 : (sampled / samples) * length);
  }
  if (value instanceof Map || value instanceof Set) return ofCollection(value, depth);
  const names = Object.keys(value);
  const sampled = Math.min(names.length, 4 * sampleMax);
  if (sampled === 0) return 32;
  let bytes = 32;
  for (let at = 0; at < sampled; at++) {
    const field = (value as Record<string, unknown>)[names[at]!];
    bytes +=
      reference + (typeof field === "number" ? reference : approximateBytes(field, depth + 1));
  }
  return (bytes * names.length) / sampled;
}

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
