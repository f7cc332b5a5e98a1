// The envelope around everything that is stored: says what it is, in which version, and whether
// it is whole.
//
//   E1. Every byte is covered: magic, kind, version and length by their own checks and, like the
//       payload, by the checksum. One changed byte is always found.
//   E2. The kind and the version are looked at before length and checksum, so that a file of newer
//       code is reported as newer and not as damaged.
//   E3. The payload starts at a multiple of 8, so that typed arrays in it are aligned.
//
// Layout: "TDMK" (4), version (2), zero (2), kind (16, ASCII, zero-padded), payload length (4),
// CRC-32 of the 28 bytes before and the payload (4), payload.

import { crc32 } from "./crc32.ts";
import { FormatError, type FormatFault } from "./format-error.ts";

const MAGIC = "TDMK";
const KIND_AT = 8;
const KIND_BYTES = 16;
const LENGTH_AT = 24;
const CHECKSUM_AT = 28;

/** Bytes in front of a payload. */
export const envelopeBytes = 32;

/** Puts a payload in an envelope. `kind` is a short ASCII word, `version` starts at 1. */
export function seal(kind: string, version: number, payload: Uint8Array): Uint8Array<ArrayBuffer> {
  if (!/^[!-~]{1,16}$/.test(kind)) {
    throw new RangeError(`An envelope's kind is 1 to 16 ASCII characters, not "${kind}"`);
  }
  if (!Number.isInteger(version) || version < 1 || version > 0xffff) {
    throw new RangeError(`An envelope's version is 1 to 65535, not ${version}`);
  }
  const bytes = new Uint8Array(envelopeBytes + payload.length);
  const view = new DataView(bytes.buffer);
  writeAscii(bytes, 0, MAGIC);
  view.setUint16(4, version, true);
  writeAscii(bytes, KIND_AT, kind);
  view.setUint32(LENGTH_AT, payload.length, true);
  view.setUint32(CHECKSUM_AT, checksumOf(bytes, payload), true);
  bytes.set(payload, envelopeBytes);
  return bytes;
}

/** What an envelope holds. */
export interface Unsealed {
  readonly version: number;
  /** A view of the bytes given. */
  readonly payload: Uint8Array;
  /** Where the envelope ends in the bytes given. */
  readonly end: number;
}

/**
 * Takes the payload out of an envelope that is exactly these bytes.
 *
 * @param newest the newest version this code can read
 * @throws FormatError whose `fault` says which check failed: magic, kind, version, length, checksum
 */
export function unseal(kind: string, bytes: Uint8Array, newest = 1): Uint8Array {
  const { payload, end } = unsealFront(kind, bytes, newest);
  if (end !== bytes.length) throw wrong("length", kind, `${end} bytes in all`, `${bytes.length}`);
  return payload;
}

/** As `unseal`, for an envelope with other bytes behind it. */
export function unsealFront(kind: string, bytes: Uint8Array, newest = 1): Unsealed {
  const end = envelopeEnd(kind, bytes, newest);
  if (end > bytes.length) throw wrong("length", kind, `${end} bytes`, `${bytes.length}`);
  const view = viewOf(bytes);
  const payload = bytes.subarray(envelopeBytes, end);
  const expected = view.getUint32(CHECKSUM_AT, true);
  const found = checksumOf(bytes, payload);
  if (found !== expected) throw wrong("checksum", kind, `checksum ${hex(expected)}`, hex(found));
  return { version: view.getUint16(4, true), payload, end };
}

/**
 * Where an envelope ends, read from its first `envelopeBytes`: what a reader with range requests
 * has to fetch. Checks everything but the checksum.
 */
export function envelopeEnd(kind: string, bytes: Uint8Array, newest = 1): number {
  const magic = readAscii(bytes, 0, MAGIC.length);
  if (magic !== MAGIC) throw wrong("magic", kind, `"${MAGIC}" at the start`, `"${magic}"`);
  if (bytes.length < envelopeBytes) {
    throw wrong("length", kind, `at least ${envelopeBytes} bytes`, `${bytes.length}`);
  }
  const foundKind = readAscii(bytes, KIND_AT, KIND_BYTES);
  if (foundKind !== kind) throw wrong("kind", kind, `kind "${kind}"`, `"${foundKind}"`);
  const version = viewOf(bytes).getUint16(4, true);
  if (version < 1 || version > newest) {
    const hint =
      version > newest ? " (written by newer code; deploy that, or restore older bytes)" : "";
    throw wrong("version", kind, `version 1 to ${newest}`, `${version}${hint}`);
  }
  return envelopeBytes + viewOf(bytes).getUint32(LENGTH_AT, true);
}

/**
 * Whether the bytes begin with an envelope of any kind and version that is as it was written: tells
 * a file of newer code from a damaged one.
 */
export function isWholeEnvelope(bytes: Uint8Array): boolean {
  if (bytes.length < envelopeBytes || readAscii(bytes, 0, MAGIC.length) !== MAGIC) return false;
  const view = viewOf(bytes);
  const end = envelopeBytes + view.getUint32(LENGTH_AT, true);
  if (end > bytes.length) return false;
  return (
    checksumOf(bytes, bytes.subarray(envelopeBytes, end)) === view.getUint32(CHECKSUM_AT, true)
  );
}

function checksumOf(envelope: Uint8Array, payload: Uint8Array): number {
  return crc32(payload, crc32(envelope.subarray(0, CHECKSUM_AT)));
}

function wrong(fault: FormatFault, kind: string, expected: string, found: string): FormatError {
  return new FormatError(fault, `Envelope of a ${kind}: expected ${expected}, found ${found}`);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

function hex(checksum: number): string {
  return checksum.toString(16).padStart(8, "0");
}

function writeAscii(bytes: Uint8Array, at: number, text: string): void {
  for (let i = 0; i < text.length; i++) bytes[at + i] = text.charCodeAt(i);
}

// Up to the zero padding, whatever the bytes are: this also serves to quote damaged ones.
function readAscii(bytes: Uint8Array, at: number, length: number): string {
  const text = String.fromCharCode(...bytes.subarray(at, at + length));
  return text.replace(/\0+$/, "").replace(/[^ -~]/g, "?");
}
