import { spawnSync } from 'node:child_process'
import { createHmac, randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { shortHmacSha1 } from '../../lib/crypto/short-hmac-sha1.ts'
import { generateKey } from '../../lib/keys/private-key.ts'
import { formatPublicKeyLine, type PublicKey } from '../../lib/keys/public-key.ts'
import {
  hashKnownHosts,
  isRecordableHost,
  knownHostLine,
  lookUpHost,
  lookUpKey,
  removeHost,
} from '../../src/openssh/known-hosts.ts'
import { haveProgram } from '../support/programs.ts'

const newKey = (): PublicKey => generateKey('ed25519').publicKey
const keys = Array.from({ length: 4 }, newKey)
const shown = (index: number): string => formatPublicKeyLine(keys[index]!)
const linesOf = (text: string, host: string, port = 22): number[] => [...lookUpHost(text, host, port)].map(e => e.line)

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tssh-known-hosts-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe('lookup', () => {
  test('plain names, addresses, wildcards, negation and ports', () => {
    const text = [
      `one,192.0.2.1 ${shown(0)} a comment`,
      `*.example.org,!bad.example.org ${shown(1)}`,
      `[one]:2222 ${shown(2)}`,
      `UPPER ${shown(3)}`,
    ].join('\n')
    expect(linesOf(text, 'one')).toEqual([1])
    expect(linesOf(text, '192.0.2.1')).toEqual([1])
    expect(linesOf(text, 'good.example.org')).toEqual([2])
    expect(linesOf(text, 'bad.example.org')).toEqual([])
    expect(linesOf(text, 'one', 2222)).toEqual([3])
    expect(linesOf(text, 'Upper')).toEqual([4])
    expect([...lookUpHost(text, 'one', 22)][0]).toMatchObject({ marker: 'none', comment: 'a comment' })
  })

  test('markers: one known marker at most', () => {
    const text = [
      `@revoked * ${shown(0)}`,
      `@cert-authority * ${shown(1)}`,
      `@unknown * ${shown(2)}`,
      `@revoked @cert-authority * ${shown(2)}`,
      `@cert-authority @revoked * ${shown(3)}`,
    ].join('\n')
    expect([...lookUpHost(text, 'any', 22)].map(({ marker, line }) => [marker, line])).toEqual([
      ['revoked', 1],
      ['cert-authority', 2],
    ])
  })

  test('what makes no sense is passed over, and the next line counts', () => {
    const [type = '', base64 = ''] = shown(0).split(' ')
    const text = [
      '',
      '# host ssh-ed25519 AAAA',
      'host',
      'host ',
      `host ssh-rsa ${base64}`,
      `host ${type}`,
      `host ${type} ${base64.slice(0, 20)}`,
      `host ${type} !!!!`,
      'host 1024 35 1234567890',
      `|1|AAAA|AAAA ${type} ${base64}`,
      `|1| ${type} ${base64}`,
      `|2|x|y ${type} ${base64}`,
      `  \thost\t ${type}  ${base64}\r`,
    ].join('\n')
    expect(linesOf(text, 'host')).toEqual([13])
  })

  test('hashed names are found by their name only', () => {
    const text = `${knownHostLine('Host', 22, keys[0]!, true)}\n${knownHostLine('host', 2222, keys[1]!, true)}\n`
    expect(text).not.toMatch(/host/i)
    expect(linesOf(text, 'HOST')).toEqual([1])
    expect(linesOf(text, 'host', 2222)).toEqual([2])
    expect(linesOf(text, 'other')).toEqual([])
  })

  test('the same key under other names', () => {
    const text = `one ${shown(0)}\ntwo ${shown(0)}\n@revoked three ${shown(0)}\nfour ${shown(1)}\n`
    expect([...lookUpKey(text, keys[0]!, 'one', 22)].map(({ hosts }) => hosts)).toEqual(['two'])
    expect([...lookUpKey(text, keys[2]!, 'one', 22)]).toEqual([])
  })

  test('a file of 100,000 hashed lines is searched to its end', () => {
    const base64 = keys[0]!.blob.toString('base64')
    const lines = Array.from(
      { length: 100_000 },
      () => `|1|${randomBytes(20).toString('base64')}|${randomBytes(20).toString('base64')} ssh-ed25519 ${base64}`,
    )
    lines.push(knownHostLine('wanted', 22, keys[1]!, true))
    const text = lines.join('\n')
    expect(linesOf(text, 'wanted')).toEqual([100_001])
  })
})

test('the HMAC of short messages is the one of OpenSSL', () => {
  const digest = Buffer.alloc(20)
  for (let length = 0; length < 140; length++) {
    const message = randomBytes(length)
    const key = randomBytes([20, 0, 16, 64][length % 4]!)
    shortHmacSha1(message)(key, digest)
    expect(digest.toString('hex')).toBe(createHmac('sha1', key).update(message).digest('hex'))
  }
})

test('any text is read without an error', () => {
  const piece = fc.oneof(
    fc.constantFrom('host', '|1|', '|', '@revoked', '@cert-authority ', ' ', '\t', '\n', '\r\n', '#', '*', '!', ','),
    fc.constantFrom(shown(0), shown(1).slice(0, 30), knownHostLine('host', 22, keys[0]!, true)),
    fc.string({ unit: 'binary', maxLength: 8 }),
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 30 }), pieces => {
      const text = pieces.join('')
      for (const { key } of lookUpHost(text, 'host', 22)) expect(keys.some(known => known.equals(key))).toBe(true)
      hashKnownHosts(text)
      expect(linesOf(removeHost(text, 'host', 22).text, 'host').length).toBeLessThanOrEqual(
        linesOf(text, 'host').length,
      )
    }),
    { seed: 7, numRuns: 300 },
  )
})

test('names that would mean something else are not recorded', () => {
  for (const name of ['*', 'a,b', '!a', '[a]', '@a', '#a', 'a b', 'a"', '|1|x|y', '']) {
    expect(isRecordableHost(name), name).toBe(false)
  }
  for (const name of ['host', 'a.example.org', '2001:db8::1', 'fe80::1%eth0']) expect(isRecordableHost(name)).toBe(true)
})

describe.skipIf(!haveProgram('ssh-keygen'))('as ssh-keygen does', () => {
  const keygen = (text: string, ...args: string[]): { stdout: string; status: number | null; after: string } => {
    const file = join(folder, 'known_hosts')
    writeFileSync(file, text)
    const { stdout, status } = spawnSync('ssh-keygen', [...args, '-f', file], { encoding: 'utf8' })
    return { stdout, status, after: readFileSync(file, 'utf8') }
  }
  const found = (text: string, name: string): number[] =>
    [...keygen(text, '-F', name).stdout.matchAll(/found: line (\d+)/g)].map(match => Number(match[1]))

  const mixed = [
    '# a comment',
    `one,192.0.2.1 ${shown(0)}`,
    `[one]:2222 ${shown(1)} note`,
    `*.example.org,!bad.example.org ${shown(2)}`,
    `@revoked one ${shown(3)}`,
    `@cert-authority *.example.org ${shown(3)}`,
    '',
    `one,two ${shown(1)}`,
    `[ONE]:22 ${shown(1)}`,
  ].join('\n')

  const names: readonly (readonly [string, string, number])[] = [
    ['one', 'one', 22],
    ['two', 'two', 22],
    ['192.0.2.1', '192.0.2.1', 22],
    ['[one]:2222', 'one', 2222],
    ['[two]:2222', 'two', 2222],
    ['a.example.org', 'a.example.org', 22],
    ['bad.example.org', 'bad.example.org', 22],
    ['nowhere', 'nowhere', 22],
  ]

  test('finds the same lines, before and after hashing by either', () => {
    const theirs = keygen(`${mixed}\n`, '-H').after
    const ours = hashKnownHosts(mixed)
    expect(ours.wildcards).toEqual([4])
    for (const text of [`${mixed}\n`, theirs, ours.text]) {
      for (const [name, host, port] of names) expect(linesOf(text, host, port), name).toEqual(found(text, name))
    }
    expect(ours.text.split('\n').length).toBe(theirs.split('\n').length)
  })

  test('removes the same lines', () => {
    for (const text of [`${mixed}\n`, keygen(`${mixed}\n`, '-H').after]) {
      for (const [name, host, port] of names) {
        const ours = removeHost(text, host, port)
        expect(ours.text, name).toBe(keygen(text, '-R', name).after)
      }
    }
  })

  test('finds what we write', () => {
    for (const hashed of [true, false]) {
      for (const [name, host, port] of names)
        expect(found(`${knownHostLine(host, port, keys[0]!, hashed)}\n`, name)).toEqual([1])
    }
  })
})
