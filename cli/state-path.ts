// Keys as the command line takes them, and as a URL can carry them.

/**
 * The text of a key as a part of a path. As it stands, but for the texts that a URL would drop: those are
 * written as JSON, in quotes, which means the same key.
 */
export const keyPart = (text: string): string =>
  /^\.{0,2}$/.test(text) ? JSON.stringify(text) : text;
