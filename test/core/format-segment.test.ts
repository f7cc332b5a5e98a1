import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { envelopeBytes, seal, unseal } from "../../format/envelope.ts";
import { FormatError, type FormatFault } from "../../format/format-error.ts";
import { keyGroupOf, type KeyGroup, type KeyGroupRange } from "../../format/key-groups.ts";
import {
  readBlock,
  readSegment,
  readSegmentIndex,
  segmentBlockRowsMax,
  SegmentSlices,
  writeSegment,
  type SegmentEntry,
  type SegmentHeader,
} from "../../format/segment.ts";
import { anyKey, anyValue, exactly, misaligned } from "./format-arbitraries.ts";

function faultOf(run: () => unknown): FormatFault | undefined {
  try {
    run();
  } catch (error) {
    if (error instanceof FormatError) return error.fault;
    throw error;
  }
  return undefined;
}

describe("envelope", () => {
  const payload = new Uint8Array([1, 2, 3]);
  const sealed = seal("manifest", 2, payload);
  const changed = (at: number, to: number) => {
    const bytes = sealed.slice();
    bytes[at] = to;
    return bytes;
  };

  test("gives back what it was given", () => {
    expect(unseal("manifest", sealed, 2)).toSatisfy(exactly(payload));
    expect(unseal("manifest", misaligned(sealed, 3), 3)).toSatisfy(exactly(payload));
    expect(unseal("x", seal("x", 1, new Uint8Array()))).toSatisfy(exactly(new Uint8Array()));
  });

  test.each<[FormatFault, RegExp, () => unknown]>([
    [
      "magic",
      /expected "TDMK" at the start, found "PK/,
      () => unseal("manifest", new Uint8Array([80, 75, 3, 4])),
    ],
    ["kind", /expected kind "segment", found "manifest"/, () => unseal("segment", sealed, 2)],
    [
      "version",
      /expected version 1 to 1, found 2 \(written by newer code/,
      () => unseal("manifest", sealed),
    ],
    ["length", /expected 35 bytes, found 34/, () => unseal("manifest", sealed.subarray(0, 34), 2)],
    [
      "length",
      /expected 35 bytes in all, found 36/,
      () => unseal("manifest", new Uint8Array([...sealed, 0]), 2),
    ],
    ["length", /at least 32 bytes, found 10/, () => unseal("manifest", sealed.subarray(0, 10), 2)],
    [
      "checksum",
      /expected checksum \w{8}, found \w{8}/,
      () => unseal("manifest", changed(33, 9), 2),
    ],
    ["checksum", /checksum/, () => unseal("manifest", changed(4, 1), 2)],
  ])("wrong %s", (fault, message, run) => {
    expect(faultOf(run)).toBe(fault);
    expect(run).toThrow(message);
  });

  test("E1: one changed byte is always found", () => {
    for (let at = 0; at < sealed.length; at++) {
      for (const flip of [1, 0x80, 0xff]) {
        const damaged = changed(at, sealed[at]! ^ flip);
        expect(
          faultOf(() => unseal("manifest", damaged, 0xffff)),
          `byte ${at}`,
        ).toBeDefined();
      }
    }
  });
});

const maxParallelism = 16;
const header: SegmentHeader = { uid: "totals", state: "sum", kind: "delta", maxParallelism };

const entriesOfOneSegment: fc.Arbitrary<SegmentEntry[]> = fc.array(
  fc
    .tuple(anyKey, fc.option(anyValue, { nil: "gone", freq: 4 }))
    .map(([key, value]): SegmentEntry => {
      const group = keyGroupOf(key, maxParallelism);
      return value === "gone" ? { group, key, deleted: true } : { group, key, value };
    }),
  { maxLength: 40 },
);

const byGroup = (entries: readonly SegmentEntry[]): SegmentEntry[] =>
  [...entries].sort((a, b) => a.group - b.group); // stable

describe("segment", () => {
  test("S1, S4: gives back its entries by group, at any offset", () => {
    fc.assert(
      fc.property(entriesOfOneSegment, fc.nat(9), (entries, offset) => {
        const segment = readSegment(misaligned(writeSegment(header, entries), offset));
        expect(segment.header).toSatisfy(exactly(header));
        expect([...segment.entries()]).toSatisfy(exactly(byGroup(entries)));
        expect(segment.groups).toSatisfy(
          exactly([...new Set(byGroup(entries).map((entry) => entry.group))]),
        );
        expect(segment.verify()).toEqual({ kind: "sound", rows: entries.length });
      }),
      { numRuns: 300 },
    );
  });

  test("S1: a range of groups is a filter of all", () => {
    const ends = fc.tuple(fc.nat(maxParallelism - 1), fc.nat(maxParallelism - 1));
    fc.assert(
      fc.property(entriesOfOneSegment, ends, (entries, [a, b]) => {
        const range = { first: Math.min(a, b), last: Math.max(a, b) } as KeyGroupRange;
        const wanted = byGroup(entries).filter(
          (e) => e.group >= range.first && e.group <= range.last,
        );
        expect([...readSegment(writeSegment(header, entries)).entries(range)]).toSatisfy(
          exactly(wanted),
        );
      }),
      { numRuns: 200 },
    );
  });

  test("S2: the index leads a range reader to every block", () => {
    fc.assert(
      fc.property(entriesOfOneSegment, fc.nat(200), (entries, firstFetch) => {
        const file = writeSegment(header, entries);
        let outcome = readSegmentIndex(file.subarray(0, firstFetch));
        if (outcome.kind === "short") outcome = readSegmentIndex(file.subarray(0, outcome.needed));
        if (outcome.kind === "short") throw new Error("asked for more twice");
        expect(outcome.index.length).toBe(file.length);
        const read = outcome.index.blocks.flatMap((block) =>
          readBlock(block, file.slice(block.offset, block.offset + block.length)),
        );
        expect(read).toSatisfy(exactly(byGroup(entries)));
      }),
      { numRuns: 200 },
    );
  });

  test("S3: one changed byte, anywhere, is always found", () => {
    const entries = Array.from({ length: 60 }, (_, i): SegmentEntry => {
      const group = (i % 5) as KeyGroup;
      return i % 7 === 0
        ? { group, key: `k${i}`, deleted: true }
        : { group, key: `k${i}`, value: { count: i, sum: i / 3 } };
    });
    const file = writeSegment(header, entries);
    for (let at = 0; at < file.length; at++) {
      const damaged = file.slice();
      damaged[at]! ^= 1 << (at % 8);
      const fault = faultOf(() => {
        const check = readSegment(damaged).verify();
        if (check.kind === "damaged") throw check.faults[0]!;
      });
      expect(fault, `byte ${at}`).toBeDefined();
    }
    for (let cut = 0; cut < file.length; cut += 7) {
      expect(faultOf(() => readSegment(file.subarray(0, cut)))).toBeDefined();
    }
    expect(faultOf(() => readSegment(new Uint8Array([...file, 0])))).toBe("length");
  });

  test("S3: damage in one group leaves the others readable", () => {
    const entries = [0, 1, 2].map((g): SegmentEntry => ({
      group: g as KeyGroup,
      key: g,
      value: g,
    }));
    const file = writeSegment(header, entries);
    const block = readSegment(file).blocks[1]!;
    file[block.offset + 20]! ^= 1;
    const segment = readSegment(file);
    expect(segment.verify()).toMatchObject({ kind: "damaged", faults: [{ fault: "checksum" }] });
    const last = { first: 2, last: 2 } as KeyGroupRange;
    expect([...segment.entries(last)]).toSatisfy(exactly([entries[2]]));
  });

  test("a large group has several blocks", () => {
    const group = 3 as KeyGroup;
    const count = segmentBlockRowsMax + 1;
    const entries = Array.from({ length: count }, (_, key): SegmentEntry => ({
      group,
      key,
      value: key,
    }));
    const segment = readSegment(writeSegment(header, entries));
    expect(segment.blocks.map((block) => block.rows)).toEqual([segmentBlockRowsMax, 1]);
    expect(segment.groups).toEqual([3]);
    expect([...segment.entries()]).toEqual(entries);
  });

  test("S5: segments of some size have it about, however large the values of one group are", () => {
    const most = { bytes: 100_000, rows: 65_536 };
    for (const length of [10, 1_000, 20_000]) {
      const entries = Array.from({ length: 300 }, (_, key): SegmentEntry => ({
        group: 3 as KeyGroup,
        key,
        value: String(key % 10).repeat(length),
      }));
      const slices = new SegmentSlices(header, entries, most);
      const segments = [];
      let isDone = false;
      for (; !isDone;) {
        const step = slices.step(100);
        if (step.segment !== undefined) segments.push(readSegment(step.segment.bytes));
        ({ isDone } = step);
      }
      const [first, ...others] = segments;
      expect(segments.flatMap((segment) => [...segment.entries()])).toEqual(entries);
      expect(first!.header.continues).toBe(undefined);
      // Of the first 64 nobody knows how large they are.
      expect(first!.blocks[0]!.rows).toBe(64);
      for (const { header: of, blocks } of others) {
        expect(of).toMatchObject({ kind: "delta", continues: true });
        const bytes = blocks.reduce((sum, block) => sum + block.length, 0);
        expect(bytes).toBeLessThan(1.5 * most.bytes);
      }
    }
  });

  test("a group outside maxParallelism is refused", () => {
    const entry: SegmentEntry = { group: 16 as KeyGroup, key: "k", value: 1 };
    expect(() => writeSegment(header, [entry])).toThrow("Key group 16 is not one of 0 to 15");
  });

  test("the front is the envelope's", () => {
    expect(writeSegment(header, []).length).toBeGreaterThan(envelopeBytes);
    expect(faultOf(() => readSegment(seal("manifest", 1, new Uint8Array(8))))).toBe("kind");
  });
});
