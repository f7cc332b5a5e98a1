// Work that may never answer, and how long it is waited for.

/** Of work that was not over in time. It may go on, and what becomes of it is not known. */
export class TimedOut extends Error {
  constructor(what: string, milliseconds: number) {
    super(`${what} was not answered within ${milliseconds} ms.`);
    this.name = "TimedOut";
  }
}

/** What the work comes to, unless that takes longer. @throws TimedOut */
export async function within<T>(milliseconds: number, what: string, work: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new TimedOut(what, milliseconds)), milliseconds);
  try {
    return await Promise.race([work, promise]);
  } finally {
    clearTimeout(timer);
  }
}
