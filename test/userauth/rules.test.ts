import { describe, expect, it } from 'vitest'
import { mergePermissions } from '../../lib/userauth/permissions.ts'
import { RequiredMethods } from '../../lib/userauth/required-methods.ts'

const offered = ['publickey', 'password', 'keyboard-interactive']

describe('lists of required methods', () => {
  it('without any, one method is enough', () => {
    for (const lists of [undefined, [['any']]]) {
      const required = new RequiredMethods(offered, lists)
      expect(required.next).toEqual(offered)
      expect([required.allows('none'), required.allows('hostbased')]).toEqual([true, false])
      expect(required.complete('password')).toBe(true)
    }
  })

  it('keep the lists that a success does not begin', () => {
    const required = new RequiredMethods(offered, [['publickey', 'password'], ['keyboard-interactive']])
    expect(required.next).toEqual(['publickey', 'keyboard-interactive'])
    expect(required.complete('publickey')).toBe(false)
    expect(required.next).toEqual(['password', 'keyboard-interactive'])
    expect(required.complete('keyboard-interactive')).toBe(true)
  })

  it('may want a method twice', () => {
    const required = new RequiredMethods(offered, [['publickey', 'publickey']])
    expect(required.complete('publickey')).toBe(false)
    expect(required.next).toEqual(['publickey'])
    expect(required.complete('publickey')).toBe(true)
  })

  it('leave out lists with methods that are off, and submethods', () => {
    const required = new RequiredMethods(['keyboard-interactive'], [['publickey'], ['keyboard-interactive:pam']])
    expect([required.impossible, required.next]).toEqual([false, ['keyboard-interactive']])
    expect(new RequiredMethods(['password'], [['publickey', 'password']]).impossible).toBe(true)
    expect(new RequiredMethods(offered, [[]]).impossible).toBe(true)
  })
})

describe('permissions of several methods', () => {
  it('are the stricter of each, in either order', () => {
    const first = { pty: false, x11Forwarding: true, permitOpen: ['a:1', 'b:2'], forceCommand: 'x' }
    const second = { pty: true, x11Forwarding: false, permitOpen: ['b:2', 'c:3'], permitListen: ['8080'] }
    const expected = {
      pty: false,
      x11Forwarding: false,
      permitOpen: ['b:2'],
      permitListen: ['8080'],
      forceCommand: 'x',
    }
    expect(mergePermissions(first, second)).toEqual(expected)
    expect(mergePermissions(second, first)).toEqual(expected)
    expect(mergePermissions(first, {})).toEqual(first)
    expect(mergePermissions({}, first)).toEqual(first)
  })

  it('with two different commands or tunnels are none', () => {
    expect(mergePermissions({ forceCommand: 'a' }, { forceCommand: 'b' })).toBeUndefined()
    expect(mergePermissions({ forceCommand: 'a' }, { forceCommand: 'a' })).toEqual({ forceCommand: 'a' })
    expect(mergePermissions({ tunnel: 0 }, { tunnel: 1 })).toBeUndefined()
  })

  it('let the first method’s environment win', () => {
    const merged = mergePermissions(
      { environment: new Map([['A', '1']]) },
      {
        environment: new Map([
          ['A', '2'],
          ['B', '3'],
        ]),
      },
    )
    expect(Object.fromEntries(merged?.environment ?? [])).toEqual({ A: '1', B: '3' })
  })
})
