// The sink of those whose rows nobody wants to keep: what is measured is the way there.

/** A sink that takes rows and keeps nothing. */
export interface DiscardSink {
  readonly kind: "discard";
}

/**
 * A sink that forgets every row, as Flink's `DiscardingSink` and `blackhole` do: for measuring, and for
 * programs whose effects are elsewhere. It has no state, and its operator stays where the rows are.
 *
 * @example env.from(generate((n) => ({ n })), { uid: "in" }).to(discard(), { uid: "out" })
 */
export const discard = (): DiscardSink => ({ kind: "discard" });
