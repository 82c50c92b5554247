import { execFileSync, spawnSync } from 'node:child_process'
import { describe, expect, test } from 'vitest'
import { queryAlgorithms } from '../../src/openssh/algorithm-query.ts'
import { haveProgram } from '../support/programs.ts'

const ask = (query: string): readonly string[] => queryAlgorithms(query) ?? []

describe.skipIf(!haveProgram('ssh'))('-Q lists at least what ssh -Q lists', () => {
  const queries = [
    'cipher',
    'cipher-auth',
    'mac',
    'kex',
    'key',
    'key-cert',
    'key-plain',
    'key-sig',
    'sig',
    'compression',
  ]
  const keywords = [
    'Ciphers',
    'MACs',
    'KexAlgorithms',
    'HostKeyAlgorithms',
    'PubkeyAcceptedAlgorithms',
    'CASignatureAlgorithms',
  ]
  test.each([...queries, ...keywords])('%s', query => {
    if (spawnSync('ssh', ['-Q', query]).status !== 0) return
    const theirs = execFileSync('ssh', ['-Q', query], { encoding: 'utf8' }).trim().split('\n')
    expect(ask(query)).toEqual(expect.arrayContaining(theirs))
    expect(new Set(ask(query)).size).toBe(ask(query).length)
  })
})

test('key types are not names that only say how a key signs', () => {
  expect(ask('key')).not.toContain('rsa-sha2-512')
  expect(ask('key')).not.toContain('x509v3-rsa2048-sha256')
  expect(ask('key-plain').some(name => /-cert-|^x509v3-/.test(name))).toBe(false)
  expect(ask('key-cert').every(name => /-cert-|^x509v3-/.test(name))).toBe(true)
  expect(ask('key-sig')).toContain('rsa-sha2-512-cert-v01@openssh.com')
})

test('keywords may be written in any case, other queries may not', () => {
  expect(ask('CIPHERS')).toEqual(ask('cipher'))
  for (const query of ['Cipher', 'kex-gss', 'foo', '', 'toString']) expect(queryAlgorithms(query)).toBeUndefined()
  expect(ask('help')).toEqual(expect.arrayContaining(['cipher', 'kex', 'mac', 'sig']))
  expect(ask('protocol-version')).toEqual(['2'])
})
