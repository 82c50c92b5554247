import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { KeyError } from '../../lib/errors.ts'
import { parsePrivateKey } from '../../lib/keys/formats/private-file.ts'
import { keySigner } from '../../lib/keys/signer.ts'
import { canonicalHost, parseX509Certificate } from '../../lib/keys/x509/certificate.ts'
import { parseX509Chain, type X509Chain } from '../../lib/keys/x509/chain.ts'
import { checkX509Chain, type X509Purpose } from '../../lib/keys/x509/check.ts'
import { formatName, parseNamePattern } from '../../lib/keys/x509/name.ts'
import { x509Signers } from '../../lib/keys/x509/signers.ts'
import { parseX509File, parseX509Pem } from '../../lib/keys/x509/text.ts'
import { encode } from '../../lib/wire/writer.ts'
import { haveProgram } from '../support/programs.ts'

describe.skipIf(!haveProgram('openssl'))('X.509 certificates made by openssl', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tssh-x509-'))
  const path = (name: string): string => join(folder, name)
  afterAll(() => rmSync(folder, { recursive: true, force: true }))
  const openssl = (...args: string[]): string =>
    execFileSync('openssl', args, { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })

  interface Making {
    /** Lines of an extension section (x509v3_config(5)). */
    readonly extensions: readonly string[]
    readonly issuer?: string
    readonly subject?: string
    readonly digest?: string
    readonly days?: number
  }

  const authority = ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign']
  /** Makes `name.key` and `name.pem`. */
  function make(name: string, { extensions, issuer, subject = `/O=Example/CN=${name}`, digest, days = 10 }: Making) {
    openssl('genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', `${name}.key`)
    openssl('req', '-new', '-utf8', '-key', `${name}.key`, '-subj', subject, '-out', `${name}.csr`)
    writeFileSync(path(`${name}.ext`), `${extensions.join('\n')}\n`)
    const signing = issuer ? ['-CA', `${issuer}.pem`, '-CAkey', `${issuer}.key`] : ['-signkey', `${name}.key`]
    const args = ['-req', '-in', `${name}.csr`, '-days', String(days), '-extfile', `${name}.ext`, '-out', `${name}.pem`]
    openssl('x509', ...args, ...signing, ...(digest ? [`-${digest}`] : []), '-set_serial', '7')
  }
  const certificatesOf = (...names: string[]) =>
    names.flatMap(name => parseX509Pem(readFileSync(path(`${name}.pem`), 'latin1')))
  const certificateOf = (name: string) => certificatesOf(name)[0]!
  const chainOf = (...names: string[]): X509Chain => {
    const key = parsePrivateKey(readFileSync(path(`${names[0]}.key`)))
    return x509Signers(keySigner(key), certificatesOf(...names))[0]!.x509!
  }
  const clock = (): bigint => BigInt(Math.floor(Date.now() / 1000))
  function problemOf(chain: X509Chain, trusted: readonly string[], more: Partial<X509Purpose> = {}) {
    try {
      const purpose = { kind: 'host', principal: undefined, now: clock(), trusted: certificatesOf(...trusted) } as const
      checkX509Chain(chain, { ...purpose, ...more })
      return undefined
    } catch (error) {
      if (!(error instanceof KeyError)) throw error
      return error.message.replace(/^X.509 certificate ".*" invalid: /, '')
    }
  }

  make('root', { extensions: authority })
  make('stranger', { extensions: authority })
  make('middle', { extensions: authority, issuer: 'root' })
  make('short', { extensions: ['basicConstraints=critical,CA:TRUE,pathlen:0', 'keyUsage=keyCertSign'], issuer: 'root' })
  make('below-short', { extensions: authority, issuer: 'short' })
  make('no-authority', { extensions: ['basicConstraints=CA:FALSE'], issuer: 'root' })
  make('no-signing', {
    extensions: ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,digitalSignature'],
    issuer: 'root',
  })
  make('constrained', { extensions: [...authority, 'nameConstraints=critical,permitted;DNS:example'], issuer: 'root' })
  make('old', { extensions: authority, issuer: 'root', days: -1 })

  const leaf = ['basicConstraints=CA:FALSE', 'keyUsage=digitalSignature', 'subjectAltName=DNS:box.example,IP:127.0.0.1']
  const under: Readonly<Record<string, string>> = {
    direct: 'root',
    deep: 'middle',
    'deep-short': 'short',
    'too-deep': 'below-short',
    'by-none': 'no-authority',
    'by-unsigning': 'no-signing',
    'by-constrained': 'constrained',
    'by-old': 'old',
  }
  for (const [name, issuer] of Object.entries(under)) make(name, { extensions: leaf, issuer })
  make('expired', { extensions: leaf, issuer: 'root', days: -1 })
  make('sha1', { extensions: leaf, issuer: 'root', digest: 'sha1' })
  make('unknown', { extensions: [...leaf, '1.2.3.4=critical,ASN1:UTF8String:something'], issuer: 'root' })
  make('sealing', { extensions: ['keyUsage=keyEncipherment'], issuer: 'root' })

  /** Where openssl verify and we must agree. Names of the chain after the leaf; what we say. */
  const judged: readonly (readonly [string, readonly string[], string | undefined])[] = [
    ['direct', [], undefined],
    ['deep', ['middle'], undefined],
    ['deep', [], 'no trusted authority'],
    ['deep', ['stranger'], 'is not certified by the next one of the chain'],
    ['deep-short', ['short'], undefined],
    ['too-deep', ['below-short', 'short'], 'certifies at too great a distance'],
    ['by-none', ['no-authority'], 'is no authority'],
    ['by-unsigning', ['no-signing'], 'is not certified by the next one of the chain'],
    ['by-old', ['old'], 'expired'],
    ['expired', [], 'expired'],
    ['unknown', [], 'critical extension 1.2.3.4 is not supported'],
  ]
  it.each(judged)('judges %s under %j as openssl does: %s', (name, others, problem) => {
    expect(problemOf(chainOf(name, ...others), ['root'])).toBe(problem)
    const untrusted = others.flatMap(other => ['-untrusted', `${other}.pem`])
    const verify = () => openssl('verify', '-CAfile', 'root.pem', ...untrusted, `${name}.pem`)
    if (problem === undefined) expect(verify()).toContain('OK')
    else expect(verify).toThrow()
  })

  it('trusts nobody else, nor a name alone', () => {
    expect(problemOf(chainOf('direct'), ['stranger'])).toBe('no trusted authority')
    expect(problemOf(chainOf('direct'), [])).toBe('no trusted authority')
    make('impostor', { extensions: authority, subject: '/O=Example/CN=root' })
    expect(problemOf(chainOf('direct'), ['impostor'])).toBe('no trusted authority')
    expect(problemOf(chainOf('direct', 'impostor'), ['root'])).toBeUndefined()
  })

  it('trusts an authority below the root, and a certificate itself', () => {
    expect(problemOf(chainOf('deep'), ['middle'])).toBeUndefined()
    expect(problemOf(chainOf('deep', 'middle'), ['middle'])).toBeUndefined()
    expect(problemOf(chainOf('deep'), ['deep'])).toBeUndefined()
    expect(problemOf(chainOf('expired'), ['expired'])).toBe('expired')
    // A host's certificate is no authority, trusted or not.
    expect(problemOf(chainOf('by-none'), ['no-authority'])).toBe('is no authority')
  })

  it('refuses what it cannot judge, and what was signed too weakly', () => {
    expect(problemOf(chainOf('by-constrained', 'constrained'), ['root'])).toBe(
      'critical extension 2.5.29.30 is not supported',
    )
    expect(problemOf(chainOf('sha1'), ['root'])).toBe('signed with a disallowed algorithm')
    expect(problemOf(chainOf('sealing'), ['root'])).toBe('key is not for signatures')
  })

  it('asks for the purpose and for the name', () => {
    const purposes = { user: '1.3.6.1.5.5.7.3.21', host: '1.3.6.1.5.5.7.3.22', any: '2.5.29.37.0', web: 'serverAuth' }
    for (const [name, purpose] of Object.entries(purposes))
      make(`for-${name}`, { extensions: [`extendedKeyUsage=${purpose}`, 'subjectAltName=email:joe'], issuer: 'root' })
    const goodFor = (name: string) =>
      (['user', 'host'] as const).filter(kind => problemOf(chainOf(`for-${name}`), ['root'], { kind }) === undefined)
    expect(Object.keys(purposes).map(goodFor)).toEqual([['user'], ['host'], ['user', 'host'], []])

    const named = (principal: string, chain: X509Chain, kind: 'user' | 'host' = 'host') =>
      problemOf(chain, ['root'], { principal, kind }) === undefined
    const hosts = chainOf('direct')
    expect(['box.example', 'BOX.example', '127.0.0.1'].map(name => named(name, hosts))).toEqual([true, true, true])
    expect(['box', 'a.box.example', '127.0.0.2', 'direct'].some(name => named(name, hosts))).toBe(false)
    expect(named('joe', chainOf('for-user'), 'user')).toBe(true)
    expect(['Joe', 'joe2', 'for-user'].some(name => named(name, chainOf('for-user'), 'user'))).toBe(false)

    make('wild', { extensions: ['subjectAltName=DNS:*.example,IP:fe80::1'], issuer: 'root' })
    const wild = chainOf('wild')
    expect(['box.example', 'fe80:0:0::1'].map(name => named(name, wild))).toEqual([true, true])
    expect(['example', 'a.box.example', '1.2.3.4'].some(name => named(name, wild))).toBe(false)
    // Without other names the common name is one, of users as of hosts.
    make('bare', { extensions: ['basicConstraints=CA:FALSE'], issuer: 'root' })
    expect([named('bare', chainOf('bare')), named('bare', chainOf('bare'), 'user')]).toEqual([true, true])
  })

  it('reads names as they are written in files, and their patterns', () => {
    make('names', { extensions: leaf, subject: '/C=AT/O=Müller, Söhne\\+Co\\\\/DC=x/OU=b+CN=a/2.5.4.5=17' })
    const name = certificateOf('names').subject
    expect(name.commonNames).toEqual(['a'])
    expect(formatName(name)).toBe('C=AT,O=Müller\\, Söhne\\+Co\\\\,DC=x,CN=a+OU=b,2.5.4.5=17')
    const matches = (pattern: string) => parseNamePattern(pattern)(name)
    expect([formatName(name), 'C=AT,*', ' C =AT,O=Müller\\, Söhne\\+Co\\\\,*', '2.5.4.6=AT,*'].map(matches)).toEqual([
      true,
      true,
      true,
      true,
    ])
    expect(['C=AT', 'O=Müller\\, Söhne\\+Co\\\\,*', 'C=DE,*', `${formatName(name)},CN=more`].some(matches)).toBe(false)
    for (const bad of ['', ',*', 'C', 'XX=y', 'C=AT,,O']) expect(() => parseNamePattern(bad), bad).toThrow(KeyError)
  })

  it('reads a file in PEM or as one line', () => {
    const both = readFileSync(path('deep.pem'), 'latin1') + readFileSync(path('middle.pem'), 'latin1')
    expect(parseX509File(`Some text\n${both}`).map(one => formatName(one.subject))).toEqual([
      'O=Example,CN=deep',
      'O=Example,CN=middle',
    ])
    const { der } = certificateOf('deep')
    expect(parseX509File(`# a line\nx509v3-ecdsa-sha2-nistp256 ${der.toString('base64')} x\n`)[0]?.der).toEqual(der)
    expect(parseX509File('ssh-ed25519 AAAA')).toEqual([])
    expect(() => parseX509File(`x509v3-ssh-rsa ${der.subarray(0, 90).toString('base64')}`)).toThrow(KeyError)
  })

  it('never lets damaged certificates and chains through as others, nor throws anything else', () => {
    const { der } = certificateOf('direct')
    const { blob } = chainOf('deep', 'middle')
    const parse = (read: () => unknown): void => {
      try {
        read()
      } catch (error) {
        expect(error).toBeInstanceOf(KeyError)
      }
    }
    for (let i = 0; i < der.length; i++) {
      const damaged = Buffer.from(der)
      damaged[i]! ^= 1 << (i % 8)
      parse(() => {
        const [own, ...rest] = [parseX509Certificate(damaged)]
        const { publicKey } = own!
        const chain: X509Chain = { algorithm: '', blob: damaged, publicKey, certificates: [own!, ...rest] }
        expect(problemOf(chain, ['root'])).toBeDefined()
      })
      parse(() => parseX509Certificate(der.subarray(0, i)))
    }
    for (let i = 0; i < blob.length; i += 3) {
      const damaged = Buffer.from(blob)
      damaged[i]! ^= 1 << (i % 8)
      parse(() => parseX509Chain(damaged))
      parse(() => parseX509Chain(blob.subarray(0, i)))
    }
  })

  it('bounds chains, and takes only what they are said to be', () => {
    const { der } = certificateOf('direct')
    const algorithm = 'x509v3-ecdsa-sha2-nistp256'
    const blobOf = (count: number, responses: number, name = algorithm, certificates = count): Buffer =>
      encode(writer => {
        writer.text(name).uint32(count)
        for (let i = 0; i < certificates; i++) writer.string(der)
        writer.uint32(responses)
        for (let i = 0; i < responses; i++) writer.string(Buffer.from('response'))
      })
    expect(parseX509Chain(blobOf(2, 2)).certificates).toHaveLength(2)
    for (const bad of [
      blobOf(0, 0),
      blobOf(11, 0),
      blobOf(1, 2),
      blobOf(0xffffffff, 0, algorithm, 1),
      blobOf(1, 0, 'x509v3-ecdsa-sha2-nistp384'),
      blobOf(1, 0, 'ecdsa-sha2-nistp256'),
      Buffer.concat([blobOf(1, 0), Buffer.of(0)]),
    ])
      expect(() => parseX509Chain(bad)).toThrow(KeyError)
  })
})

it('writes addresses in one form', () => {
  expect(['FE80:0::1', '::1', '0:0:0:0:0:0:0:1', 'Box.Example', '1.2.3.4', 'x:y'].map(canonicalHost)).toEqual([
    'fe80::1',
    '::1',
    '::1',
    'box.example',
    '1.2.3.4',
    'x:y',
  ])
})
