/** A check that failed. */
export class Violation extends Error {}

export function must(holds: boolean, rule: () => string): void {
  if (!holds) throw new Violation(rule());
}
