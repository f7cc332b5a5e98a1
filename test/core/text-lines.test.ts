// Lines of a stream: the same however it is cut, and no line without end.

import fc from "fast-check";
import { expect, test } from "vitest";

import { lineMax, textLines } from "../../snapshot/shell/text-lines.ts";

function streamOf(chunks: Iterable<Uint8Array>): ReadableStream<Uint8Array> {
  const each = chunks[Symbol.iterator]();
  return new ReadableStream({
    pull(controller) {
      const next = each.next();
      if (next.done === true) controller.close();
      else controller.enqueue(next.value);
    },
  });
}

async function linesOf(chunks: Iterable<Uint8Array>): Promise<string[]> {
  return Array.fromAsync(textLines(streamOf(chunks)));
}

test("wherever the bytes are cut, the lines are those of the text", async () => {
  const text = fc.array(fc.constantFrom("\n", "é", "\u{1F4A9}", "ab", "\n\n", "\r"));
  const drawn = fc.asyncProperty(text, fc.array(fc.nat(8)), async (parts, sizes) => {
    const whole = parts.join("");
    const bytes = new TextEncoder().encode(whole);
    const chunks: Uint8Array[] = [];
    let from = 0;
    for (const size of sizes) chunks.push(bytes.subarray(from, (from += size)));
    chunks.push(bytes.subarray(from));
    const expected = whole.split("\n");
    if (expected.at(-1) === "") expected.pop();
    expect(await linesOf(chunks)).toEqual(expected);
  });
  await fc.assert(drawn);
});

// A hundred thousand chunks: to copy what is there with each of them would take hours.
test("a line without end is refused at its limit, also where it comes in small chunks", async () => {
  let sent = 0;
  const chunk = new TextEncoder().encode("x".repeat(320));
  function* endless(): Generator<Uint8Array> {
    for (;;) {
      sent += chunk.length;
      yield chunk;
    }
  }
  await expect(linesOf(endless())).rejects.toThrow(`It is longer than ${lineMax} characters`);
  expect(sent).toBeLessThan(lineMax + 10 * chunk.length);
});

test("a line of the limit is a line, and one more character is too many", async () => {
  const longest = new Uint8Array(lineMax).fill(120);
  const [line, ...more] = await linesOf([longest, Uint8Array.of(10)]);
  expect([line!.length, more]).toEqual([lineMax, []]);
  await expect(linesOf([longest, Uint8Array.of(120, 10)])).rejects.toThrow("longer");
});

test.each([[[0xff]], [[0xc3]], [[0x7b, 0x0a, 0xe2, 0x82]]])("%j is not UTF-8", async (all) => {
  await expect(linesOf([Uint8Array.from(all)])).rejects.toThrow("It is not UTF-8");
});
