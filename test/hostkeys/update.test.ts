import { describe, expect, test } from 'vitest'
import { generateKey } from '../../lib/keys/private-key.ts'
import { formatPublicKeyLine, type PublicKey } from '../../lib/keys/public-key.ts'
import { compareHostKeys, withHostKeys } from '../../src/hostkeys/update.ts'
import { knownHostLine } from '../../src/openssh/known-hosts.ts'

const [one, two, three] = [generateKey('ed25519'), generateKey('ed25519'), generateKey('ecdsa')].map(
  key => key.publicKey,
) as [PublicKey, PublicKey, PublicKey]
const line = (hosts: string, key: PublicKey): string => `${hosts} ${formatPublicKeyLine(key)}\n`
const compare = (text: string, keys: readonly PublicKey[] = [one, two], names = ['host']) => {
  const { learned, deprecated, obstacle } = compareHostKeys(keys, [text], names)
  return { learned: learned.length, deprecated: deprecated.length, obstacle: obstacle !== undefined }
}

describe('what a server shows against what the files say', () => {
  test('new keys, old keys, and nothing to do', () => {
    expect(compare(line('host', one))).toEqual({ learned: 1, deprecated: 0, obstacle: false })
    expect(compare(line('host', one) + line('host', three))).toEqual({ learned: 1, deprecated: 1, obstacle: false })
    expect(compare(line('host', one) + line('host', two))).toEqual({ learned: 0, deprecated: 0, obstacle: false })
    expect(compare(`${knownHostLine('host', 22, one, true)}\n`)).toEqual({ learned: 1, deprecated: 0, obstacle: false })
  })

  test.each([
    ['a marker', `@cert-authority host ${formatPublicKeyLine(three)}\n`],
    ['a revoked key', `@revoked host ${formatPublicKeyLine(three)}\n`],
    ['a pattern', line('ho*', three)],
    ['a negation', line('host,!other', three)],
    ['many names', line('host,a,b', three)],
    ['a shown key under another name', line('elsewhere', two)],
    ['an old key under another name', line('host', three) + line('elsewhere', three)],
  ])('%s leaves the files alone', (_, text) => {
    expect(compare(line('host', one) + text).obstacle).toBe(true)
  })

  test('with CheckHostIP, a name with another address is left alone', () => {
    const names = ['host', '192.0.2.1']
    expect(compare(line('host,192.0.2.1', one), [one, two], names).obstacle).toBe(false)
    expect(compare(line('host,192.0.2.2', one), [one, two], names).obstacle).toBe(true)
  })

  test('keys of other hosts do not matter', () => {
    const text = line('host', one) + line('elsewhere', three)
    expect(compare(text)).toEqual({ learned: 1, deprecated: 0, obstacle: false })
  })
})

describe('the file with exactly these keys', () => {
  test('keeps lines that stay in their place, drops others, and adds at the end', () => {
    const text = `# note\n${line('host', three)}${line('other', three)}unreadable\n${line('host', one)}`
    expect(withHostKeys(text, ['host'], [one, two], false)).toBe(
      `# note\n${line('other', three)}unreadable\n${line('host', one)}${line('host', two)}`,
    )
  })

  test('adds names hashed, each on a line of its own', () => {
    const after = withHostKeys('', ['host', '192.0.2.1'], [one], true)
    expect(after.match(/^\|1\|/gm)).toHaveLength(2)
    expect(withHostKeys('', ['host', '192.0.2.1'], [one], false)).toBe(line('host,192.0.2.1', one))
  })

  test('without keys only takes away, and leaves what it cannot read', () => {
    expect(withHostKeys(`${line('host', one)}host nonsense\n`, ['host'], [], false)).toBe('host nonsense\n')
  })
})
