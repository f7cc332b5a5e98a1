// CRC-32 (the one of zlib, PNG and Ethernet): finds damage in stored and sent bytes.
//
// It is for accidents, not for enemies. Eight bytes a step ("slicing by 8", Intel, 2006): table k
// holds what a byte does to the checksum when k more bytes follow it.

const POLYNOMIAL = 0xedb88320;
const SLICES = 8;

const tables = new Int32Array(SLICES * 256);
for (let byte = 0; byte < 256; byte++) {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 0 ? crc >>> 1 : (crc >>> 1) ^ POLYNOMIAL;
  tables[byte] = crc;
}
for (let i = 256; i < tables.length; i++) {
  const shorter = tables[i - 256]!;
  tables[i] = (shorter >>> 8) ^ tables[shorter & 0xff]!;
}

/** The checksum of `bytes`; given the checksum of what comes before them, of both together. */
export function crc32(bytes: Uint8Array, before = 0): number {
  const t = tables;
  const whole = bytes.length & -SLICES;
  let crc = ~before;
  let at = 0;
  for (; at < whole; at += SLICES) {
    crc ^= bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
    crc =
      t[0x700 | (crc & 0xff)]! ^
      t[0x600 | ((crc >>> 8) & 0xff)]! ^
      t[0x500 | ((crc >>> 16) & 0xff)]! ^
      t[0x400 | (crc >>> 24)]! ^
      t[0x300 | bytes[at + 4]!]! ^
      t[0x200 | bytes[at + 5]!]! ^
      t[0x100 | bytes[at + 6]!]! ^
      t[bytes[at + 7]!]!;
  }
  for (; at < bytes.length; at++) crc = (crc >>> 8) ^ t[(crc ^ bytes[at]!) & 0xff]!;
  return ~crc >>> 0;
}
