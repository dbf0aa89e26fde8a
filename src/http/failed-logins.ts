/**
 * Failed attempts to log in, per address: who guesses is slowed down before anything is compared.
 *
 * Counted per address and key, so that one worker with a wrong secret does not lock out its neighbours behind the same
 * proxy; keys that nobody has count together, since a guesser would take a new one each time. The address is that of the
 * socket: headers of proxies can be forged.
 */
import { LRUCache } from 'lru-cache';
import type { Clock } from '../clock.ts';
import { Fault } from '../domain/errors.ts';
import { type Instant, secondsAfter } from '../domain/instant.ts';
import { limits } from '../domain/limits.ts';

export type FailedLogins = {
  /** @param keyId one that exists, or '' @throws credentialsThrottled */
  readonly requireCalm: (address: string, keyId: string) => void;
  readonly count: (address: string, keyId: string) => void;
};

type Tally = { count: number; readonly until: Instant };

export function failedLogins(clock: Pick<Clock, 'now'>): FailedLogins {
  const tallies = new LRUCache<string, Tally>({ max: limits.failedLoginAddressesMax });
  const keyOf = (address: string, keyId: string) => `${networkOf(address)} ${keyId}`;
  return {
    requireCalm(address, keyId) {
      if (tallies.size === 0) return;
      const tally = tallies.get(keyOf(address, keyId));
      const now = clock.now();
      if (tally === undefined || now >= tally.until || tally.count < limits.failedLoginsMax) return;
      throw Fault.of('credentialsThrottled', { seconds: Math.ceil((tally.until - now) / 1000) });
    },
    count(address, keyId) {
      const key = keyOf(address, keyId);
      const tally = tallies.get(key);
      const now = clock.now();
      if (tally !== undefined && now < tally.until) tally.count += 1;
      else tallies.set(key, { count: 1, until: secondsAfter(now, limits.failedLoginWindowSeconds) });
    },
  };
}

/** One customer has a whole /64 of IPv6 addresses. */
const networkOf = (address: string): string =>
  address.includes(':') && !address.startsWith('::ffff:') ? address.split(':', 4).join(':') : address;
