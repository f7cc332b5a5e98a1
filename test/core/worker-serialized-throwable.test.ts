// Failures as Flink's own clients read them.

import { expect, test } from "vitest";

import { causeOf, serializedThrowable } from "../../worker/flink/serialized-throwable.ts";

const bytesOf = (base64: string): Uint8Array =>
  Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));

// RestClusterClientSavepointTriggerTest, RestClusterClientCheckpointTriggerTest: what OpenJDK 17 was
// seen to read as the class, with name, text, message, and neither stack, cause nor suppressed ones.
const readByJava =
  "rO0ABXNyAClvcmcuYXBhY2hlLmZsaW5rLnV0aWwuU2VyaWFsaXplZFRocm93YWJsZWUWnfUfpxPzAgACTAAZZnVsbFN0cmlu" +
  "Z2lmaWVkU3RhY2tUcmFjZXQAEkxqYXZhL2xhbmcvU3RyaW5nO0wAFm9yaWdpbmFsRXJyb3JDbGFzc05hbWVxAH4AAXhyABNq" +
  "YXZhLmxhbmcuRXhjZXB0aW9u0P0fPho7HMQCAAB4cgATamF2YS5sYW5nLlRocm93YWJsZdXGNSc5d7jLAwABTAANZGV0YWls" +
  "TWVzc2FnZXEAfgABeHB0ABFJdCBleHBpcmVkOiA1IG1zLnh0ACJTYXZlcG9pbnRGYWlsZWQ6IEl0IGV4cGlyZWQ6IDUgbXMu" +
  "dAAPU2F2ZXBvaW50RmFpbGVk";

test("a failure is an object that Java reads", () => {
  const cause = causeOf("SavepointFailed", "It expired: 5 ms.");
  expect(cause).toEqual({
    class: "SavepointFailed",
    "stack-trace": "It expired: 5 ms.",
    "serialized-throwable": readByJava,
  });
});

test.each([
  ["\0", [0xc0, 0x80]],
  ["ü", [0xc3, 0xbc]],
  ["€", [0xe2, 0x82, 0xac]],
  ["😀", [0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80]],
])("texts are in Java's own UTF-8: %j", (message, expected) => {
  const bytes = bytesOf(serializedThrowable({ name: "A", message }));
  // Message, end of block, text, name: the name has 4 bytes, the text 3 before the message.
  const at = bytes.length - 4 - expected.length;
  expect(Array.from(bytes.slice(at, at + expected.length))).toEqual(expected);
});

test("a long text has a long length", () => {
  const bytes = bytesOf(serializedThrowable({ name: "A", message: "x".repeat(70_000) }));
  const at = bytes.indexOf(0x7c);
  expect(Array.from(bytes.slice(at, at + 10))).toEqual([0x7c, 0, 0, 0, 0, 0, 1, 0x11, 0x70, 0x78]);
});
