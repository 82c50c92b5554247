import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { describeKey, judgeKey } from '../../commands/tsshd/authority-keys.ts'
import type { Certificate } from '../../lib/keys/certificate.ts'
import { flagOption, issueCertificate } from '../../lib/keys/certificate-issue.ts'
import { generateKey } from '../../lib/keys/private-key.ts'
import { formatPublicKeyLine } from '../../lib/keys/public-key.ts'
import { keySigner } from '../../lib/keys/signer.ts'
import { ownAccount } from '../../src/net/accounts.ts'
import { loadSshdConfig } from '../../src/openssh/load.ts'

/** tsshd's judgement of keys, without a connection. */

const folder = mkdtempSync(join(tmpdir(), 'tssh-judge-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const path = (name: string): string => join(folder, name)

const account = ownAccount()
const peer = { address: '192.0.2.1', port: 5, localAddress: '192.0.2.2', localPort: 22 }
const [key, authority] = [generateKey('ed25519'), generateKey('ed25519')]
let lines: string[] = []

const judge = (options: readonly string[], certificate?: Certificate) => {
  const keep = (line: string): void => void lines.push(line)
  const config = loadSshdConfig({
    file: 'none',
    options: [...options, `AuthorizedKeysFile ${path('keys')}`, 'StrictModes no'],
  })
  const log = { error: keep, info: keep, verbose: keep, debug1: keep }
  const shown = { publicKey: key.publicKey, ...(certificate && { certificate }) }
  return judgeKey({ account, options: config, peer, host: 'client.example', log }, shown)
}
const authorize = (options: string, who = key): void =>
  writeFileSync(path('keys'), `${options} ${formatPublicKeyLine(who.publicKey)}\n`)
const certify = (...extensions: string[]): Promise<Certificate> =>
  issueCertificate(
    {
      kind: 'user',
      keyId: 'an\u001bid',
      serial: 12n,
      principals: [account.name],
      publicKey: key.publicKey,
      extensions: new Map(extensions.map(name => [name, flagOption])),
    },
    keySigner(authority),
  )
beforeEach(() => {
  lines = []
})

describe('what a signature of a security key must say', () => {
  it.each([
    ['', [], { touchRequired: true, verificationRequired: false }],
    ['no-touch-required', [], { touchRequired: false, verificationRequired: false }],
    ['no-touch-required,verify-required', [], { touchRequired: false, verificationRequired: true }],
    ['no-touch-required', ['PubkeyAuthOptions touch-required'], { touchRequired: true, verificationRequired: false }],
    ['', ['PubkeyAuthOptions verify-required'], { touchRequired: true, verificationRequired: true }],
  ])('with %j before the key and %j', async (options, config, signature) => {
    authorize(options)
    expect(await judge(config)).toMatchObject({ accepted: true, signature })
  })

  it('is relaxed only where line and certificate both do', async () => {
    authorize('cert-authority,no-touch-required', authority)
    expect(await judge([], await certify('no-touch-required'))).toMatchObject({ signature: { touchRequired: false } })
    expect(await judge([], await certify())).toMatchObject({ signature: { touchRequired: true } })
    authorize('cert-authority', authority)
    expect(await judge([], await certify('no-touch-required'))).toMatchObject({ signature: { touchRequired: true } })
  })
})

it('a certificate and its line permit what both permit', async () => {
  authorize('cert-authority,no-pty,permitopen="a:1"', authority)
  const verdict = await judge([], await certify('permit-pty', 'permit-port-forwarding'))
  expect(verdict).toMatchObject({
    permissions: { pty: false, portForwarding: true, agentForwarding: false, userRc: false, permitOpen: ['a:1'] },
  })
})

it('a name that was looked up counts for from=', async () => {
  authorize('from="*.example"')
  expect(await judge([])).toMatchObject({ accepted: true })
  authorize('from="*.elsewhere"')
  expect(await judge([])).toEqual({ accepted: false })
})

it('the log shows keys and certificates as sshd does, without what a terminal could obey', async () => {
  const certificate = await certify()
  expect(describeKey({ publicKey: key.publicKey })).toMatch(/^ED25519 SHA256:[\w+/]{43}$/)
  expect(describeKey({ publicKey: key.publicKey, certificate }, 'md5')).toMatch(
    /^ED25519-CERT MD5:[0-9a-f:]{47} ID an\\033id \(serial 12\) CA ED25519 MD5:[0-9a-f:]{47}$/,
  )
  authorize('cert-authority,principals="nobody-else"', authority)
  expect(await judge([], certificate)).toEqual({ accepted: false })
  expect(lines.join('\n')).toContain('Refusing certificate ID "an\\033id" serial=12 signed by ED25519 CA')
  expect(lines.join('')).not.toContain('\u001b')
})

it('whoever a list of trusted authorities does not name, or a broken list, is not trusted', async () => {
  writeFileSync(path('keys'), '')
  const certificate = await certify()
  const trusted = [`TrustedUserCAKeys ${path('authorities')}`]
  expect(await judge(trusted, certificate)).toEqual({ accepted: false })
  writeFileSync(path('authorities'), `# ours\n${formatPublicKeyLine(authority.publicKey)} comment\n`)
  expect(await judge(trusted, certificate)).toMatchObject({ accepted: true })
  writeFileSync(path('authorities'), `nonsense\n${formatPublicKeyLine(authority.publicKey)}\n`)
  expect(await judge(trusted, certificate)).toEqual({ accepted: false })
  writeFileSync(path('authorities'), `${formatPublicKeyLine(key.publicKey)}\n`)
  expect(await judge(trusted, certificate)).toEqual({ accepted: false })
})

it('a command that cannot be run, in any way, gives no keys', async () => {
  writeFileSync(path('keys'), '')
  for (const [command, user, text] of [
    ['/nonexistent/program', account.name, 'Could not stat AuthorizedKeysCommand'],
    ['/bin/cat', 'no-such-user', 'AuthorizedKeysCommandUser "no-such-user" not found'],
    ['/bin/cat %x', account.name, '%x'],
    ['/bin/false', account.name, 'failed, status 1'],
  ] as const) {
    lines = []
    const options = [`AuthorizedKeysCommand ${command}`, `AuthorizedKeysCommandUser ${user}`]
    expect(await judge(options)).toEqual({ accepted: false })
    expect(lines.join('\n')).toContain(text)
  }
})
