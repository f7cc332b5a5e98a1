// State of an operator that no key owns, as it is stored: its elements, in one envelope.
//   E1. Elements come back in order, as they were; one changed byte anywhere is found.

import { decodeRows, encodeRows } from "./batch.ts";
import { seal, unseal } from "./envelope.ts";

const kind = "operator-state";
const version = 1;

export const encodeElements = (elements: readonly unknown[]): Uint8Array<ArrayBuffer> =>
  seal(kind, version, encodeRows(elements));

/** @throws FormatError when damaged */
export const decodeElements = (bytes: Uint8Array): unknown[] =>
  decodeRows(unseal(kind, bytes, version));
