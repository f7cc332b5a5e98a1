// Calls from one object to another: a request, the work, an answer, each after a while.
//   N1. Whoever calls hears exactly one thing, an answer or that there is none, unless it died.
//   N2. No answer means nothing: the work was done, is being done, will be done, or never will.
//   N3. An answer leaves the callee through its output gate.

import type { Host, Instance, Scene } from "./host.ts";

/** What happens to a call: exactly one of the two, once. */
export interface Hearing<T> {
  readonly answered: (result: T) => void;
  readonly lost: (why: string) => void;
}

/**
 * A hearing that waits only so long. A call that hangs is carried out, or is not, and nobody hears of
 * it: what is heard then is `timedOut`.
 */
export function patiently<T>(
  from: Instance<unknown>,
  forMs: number,
  on: Hearing<T> & { readonly timedOut: () => void },
): Hearing<T> {
  const timedOut = (): void => {
    if (!from.isDead) on.timedOut();
  };
  return patience(from.host.scene, forMs, { ...on, timedOut });
}

/** The same of somebody who never dies. */
export function patience<T>(
  { clock, faults }: Scene,
  forMs: number,
  on: Hearing<T> & { readonly timedOut: () => void },
): Hearing<T> {
  let isOver = false;
  const once = (tell: () => void): void => {
    if (isOver) return;
    isOver = true;
    tell();
  };
  const isHung = faults.strikes("hang");
  clock.later(forMs, () => once(on.timedOut));
  return {
    answered: (result) => isHung || once(() => on.answered(result)),
    lost: (why) => isHung || once(() => on.lost(why)),
  };
}

export type Fault = "crashSubtask" | "crashCoordinator";

export function call<S, I extends Instance<S>, T>(
  scene: Scene,
  from: Instance<unknown> | undefined,
  to: Host<S, I>,
  crash: Fault,
  work: (instance: I, reply: (result: T) => void) => void,
  hearing: Hearing<T>,
): void {
  const { clock, faults } = scene;
  let isHeard = false;
  const hear = (tell: () => void): void =>
    clock.later(faults.latency(), () => {
      if (isHeard || from?.isDead === true) return;
      isHeard = true;
      tell();
    });
  const arrive = (): void => {
    scene.stirred(`a call of ${to.name}`);
    if (faults.strikes(crash)) to.crash();
    const { instance } = to;
    const forget = instance.whenDead(() => hear(() => hearing.lost("it died")));
    work(instance, (result) => {
      instance.send(() => {
        forget();
        if (faults.strikes("drop")) hear(() => hearing.lost("the answer was lost"));
        else hear(() => hearing.answered(result));
      });
    });
    if (to.awake === instance && faults.strikes(crash)) to.crash();
  };
  if (faults.strikes("drop")) return hear(() => hearing.lost("the request was lost"));
  if (faults.strikes("duplicate")) clock.later(faults.latency(), arrive);
  clock.later(faults.latency(), arrive);
}
