import { checkPrimeSync, randomBytes } from 'node:crypto'

/** Whether a number is prime, but for a chance of 2^-2n after `rounds` rounds of Miller-Rabin. */
export const isProbablePrime = (candidate: bigint, rounds: number): boolean =>
  checkPrimeSync(candidate, { checks: rounds })

/** A random odd number of exactly so many bits, the highest two set. */
export function randomOdd(bits: number): bigint {
  const value = BigInt(`0x${randomBytes(Math.ceil(bits / 8)).toString('hex')}`) & ((1n << BigInt(bits)) - 1n)
  return value | (3n << BigInt(bits - 2)) | 1n
}
