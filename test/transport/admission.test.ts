import { describe, expect, it } from 'vitest'
import { admit, layerOf, type Situation } from '../../lib/transport/admission.ts'

const situation = (part: Partial<Situation>): Situation => ({
  role: 'client',
  exchange: 'idle',
  initial: false,
  strict: true,
  authenticated: false,
  afterNewKeys: false,
  extInfoCount: 0,
  ...part,
})

const numbers = Array.from({ length: 256 }, (_, number) => number)
const roles = ['client', 'server'] as const

/** The numbers with one of the answers. */
function numbersWith(answer: string, part: Partial<Situation>): number[] {
  return numbers.filter(number => admit(number, situation(part)) === answer)
}

const range = (first: number, last: number): number[] =>
  Array.from({ length: last - first + 1 }, (_, index) => first + index)

const unknown = numbers.filter(number => layerOf(number) === undefined)

describe('which messages are legal', () => {
  for (const role of roles) {
    it(`before the first KEXINIT (${role})`, () => {
      const part = { role, exchange: 'offered', initial: true, strict: false } as const
      expect(numbersWith('process', part)).toEqual([1, 2, 3, 4, 20])
      expect(numbersWith('unimplemented', part)).toEqual(unknown)
    })

    it(`in a first strict key exchange (${role})`, () => {
      const part = { role, initial: true, strict: true } as const
      expect(numbersWith('process', { ...part, exchange: 'running' })).toEqual([1, ...range(30, 49)])
      expect(numbersWith('violation', { ...part, exchange: 'running' }).length).toBe(256 - 21)
      expect(numbersWith('process', { ...part, exchange: 'newkeys' })).toEqual([1, 21])
      expect(numbersWith('violation', { ...part, exchange: 'newkeys' }).length).toBe(254)
    })

    it(`in a first key exchange that is not strict (${role})`, () => {
      const part = { role, initial: true, strict: false } as const
      expect(numbersWith('process', { ...part, exchange: 'running' })).toEqual([1, 2, 3, 4, ...range(30, 49)])
      expect(numbersWith('process', { ...part, exchange: 'newkeys' })).toEqual([1, 2, 3, 4, 21])
    })

    it(`in a later key exchange, once the peer gave its KEXINIT (${role})`, () => {
      for (const strict of [true, false]) {
        const part = { role, strict, authenticated: true } as const
        expect(numbersWith('process', { ...part, exchange: 'running' })).toEqual([1, 2, 3, 4, ...range(30, 49)])
        expect(numbersWith('process', { ...part, exchange: 'newkeys' })).toEqual([1, 2, 3, 4, 21])
        expect(numbersWith('ignore', { ...part, exchange: 'running' })).toEqual([])
      }
    })

    it(`after authentication (${role})`, () => {
      const part = { role, authenticated: true } as const
      const always = [1, 2, 3, 4, 20, ...range(80, 127)]
      expect(numbersWith('process', part)).toEqual([...always, 192, 193])
      expect(numbersWith('ignore', part)).toEqual(role === 'server' ? [50] : [])
      // The peer has not seen our KEXINIT yet; its PING is not answered any more.
      expect(numbersWith('process', { ...part, exchange: 'offered' })).toEqual([...always, 193])
      expect(numbersWith('ignore', { ...part, exchange: 'offered' })).toEqual(role === 'server' ? [50, 192] : [192])
    })
  }

  it('while a client authenticates', () => {
    expect(numbersWith('process', { role: 'client' })).toEqual([1, 2, 3, 4, 6, 7, 20, ...range(51, 79), 193])
    expect(numbersWith('ignore', { role: 'client' })).toEqual([192])
  })

  it('while a server authenticates', () => {
    expect(numbersWith('process', { role: 'server' })).toEqual([1, 2, 3, 4, 5, 20, 50, ...range(61, 79), 193])
  })

  it('EXT_INFO of a client only straight after NEWKEYS', () => {
    expect(admit(7, situation({ role: 'server', afterNewKeys: true }))).toBe('process')
    expect(admit(7, situation({ role: 'server' }))).toBe('unexpected')
    expect(admit(7, situation({ role: 'server', authenticated: true }))).toBe('unexpected')
  })

  it('EXT_INFO of a server twice at most, before authentication', () => {
    expect(admit(7, situation({ extInfoCount: 1 }))).toBe('process')
    expect(admit(7, situation({ extInfoCount: 2 }))).toBe('unexpected')
    expect(admit(7, situation({ authenticated: true }))).toBe('unexpected')
  })
})
