// The one error of the byte layer: bytes that are not what they should be.
//
// It says what was expected and what was found, because whoever reads it holds a file or a frame
// and has to decide whether it is damaged, cut short, newer than this code, or something else.

/** Which way bytes can be wrong; the caller's next action depends on it. */
export type FormatFault =
  | "magic" // not ours at all
  | "kind" // ours, but another kind of thing
  | "version" // written by newer code: deploy that code, do not delete the bytes
  | "length" // cut short, or followed by something
  | "checksum" // damaged
  | "content"; // intact, yet makes no sense

/**
 * Thrown by every reader of `format/` for bytes it cannot accept. Never thrown for values: those
 * are the writer's side, see `ValueNotSerialisableError`.
 */
export class FormatError extends Error {
  readonly fault: FormatFault;

  constructor(fault: FormatFault, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "FormatError";
    this.fault = fault;
  }
}
