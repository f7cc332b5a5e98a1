// What is asked of windows and can mean nothing, refused where the windows are defined. Flink leaves such
// settings without effect; rows that are never told are noticed too late.

import { refusal } from "./errors.ts";
import type { OperatorOptions } from "./recorder.ts";
import type { WindowSpec } from "./windowed-stream.ts";

/** What matters of it. */
type Asked = Pick<WindowSpec, "assigner" | "trigger" | "allowedLateness" | "lateOutput">;

/** @throws GraphError */
export function refuseUnmeant(method: string, asked: Asked, options: OperatorOptions): void {
  const { assigner, trigger, allowedLateness, lateOutput } = asked;
  const refuse = (found: string, allowed: string): Error =>
    refusal("BAD_ARGUMENT", method, options, found, allowed);
  if (assigner.isEndless === true && trigger === undefined) {
    throw refuse(
      "has a global window and no trigger: it would keep all rows and never be told",
      "a trigger such as countTrigger(100), eventTimeTrigger() for the end of all input, or never() " +
        "if that is meant",
    );
  }
  if (assigner.merging === true && trigger !== undefined && trigger.onMerge === undefined) {
    throw refuse(
      "has windows that merge, and a trigger without onMerge",
      "a trigger that says in onMerge(window, ctx) what becomes of its states and timers",
    );
  }
  const late = allowedLateness > 0 ? "allowedLateness" : lateOutput && "an output for late rows";
  if (assigner.time === "event" || late === undefined) return;
  throw refuse(
    `has ${late}, and ${assigner.isEndless === true ? "a global window" : "windows by the clock"}: no row ` +
      `is ever late for it`,
    'that with windows by event time, such as tumbling("1h"), or windows without it',
  );
}
