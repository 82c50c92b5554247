import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { HostKeyError } from '../../lib/errors.ts'
import { fingerprint } from '../../lib/keys/fingerprint.ts'
import { generateKey } from '../../lib/keys/private-key.ts'
import { formatPublicKeyLine, type PublicKey } from '../../lib/keys/public-key.ts'
import { sshfpRecord } from '../../lib/keys/sshfp.ts'
import { hostKeyVerifier, knownKeyTypes, preferKnownTypes, type VerifierOptions } from '../../src/hostkeys/verifier.ts'

const key = generateKey('ed25519').publicKey
const other = generateKey('ed25519').publicKey
const ecdsa = generateKey('ecdsa').publicKey

let folder: string
let file: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tssh-verifier-'))
  file = join(folder, 'ssh', 'known_hosts')
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

/** Writes lines to a file of the test's folder. */
function known(name: string, ...lines: string[]): string {
  const path = join(folder, name)
  writeFileSync(path, lines.map(line => `${line}\n`).join(''))
  return path
}

const line = (host: string, of: PublicKey): string => `${host} ${formatPublicKeyLine(of)}`

/** Judges a key: `error` is the refusal's code, `asked` the questions, `said` all that the user or log was told. */
async function judge(overrides: Partial<VerifierOptions> & { answers?: string[]; shown?: PublicKey } = {}) {
  const { answers = [], shown = key, ...rest } = overrides
  const asked: string[] = []
  const said: string[] = []
  const say = (text: string): void => void said.push(text)
  const verifier = hostKeyVerifier({
    host: 'host.example',
    port: 22,
    address: '192.0.2.7',
    strictHostKeyChecking: 'ask',
    userKnownHostsFiles: [file],
    globalKnownHostsFiles: [],
    hashKnownHosts: false,
    ask: async question => {
      asked.push(question)
      return answers.shift()
    },
    print: say,
    log: { error: say, info: say, debug1: say },
    ...rest,
  })
  try {
    await verifier({ publicKey: shown, algorithm: shown.type })
    return { error: undefined, asked, said: said.join('\n'), message: '' }
  } catch (error) {
    if (!(error instanceof HostKeyError)) throw error
    return { error: error.code, asked, said: said.join('\n'), message: error.message }
  }
}

describe('an unknown host', () => {
  it('is asked about, then remembered and not asked about again', async () => {
    const first = await judge({ answers: ['yes'] })
    expect(first.error).toBeUndefined()
    expect(first.asked).toHaveLength(1)
    expect(first.asked[0]).toContain("The authenticity of host 'host.example (192.0.2.7)' can't be established.\n")
    expect(first.asked[0]).toContain(`ED25519 key fingerprint is: ${fingerprint(key.blob)}\n`)
    expect(first.asked[0]).toMatch(/Are you sure you want to continue connecting \(yes\/no\/\[fingerprint\]\)\? $/)
    expect(first.said).toContain("Warning: Permanently added 'host.example' (ED25519) to the list of known hosts.")
    expect(readFileSync(file, 'utf8')).toBe(`${line('host.example', key)}\n`)
    const second = await judge()
    expect(second).toMatchObject({ error: undefined, asked: [] })
    expect(second.said).toContain(`Server host key: ssh-ed25519 ${fingerprint(key.blob)}`)
  })

  it('is accepted by its fingerprint, and by no other', async () => {
    expect((await judge({ answers: [fingerprint(other.blob), 'no'] })).error).toBe('unknown')
    expect((await judge({ answers: [fingerprint(key.blob)] })).error).toBeUndefined()
  })

  it.each([[['no']], [['']], [[]], [['maybe', 'y', 'No']]])('is refused after %j and not remembered', async answers => {
    const { error, message } = await judge({ answers: [...answers] })
    expect(error).toBe('unknown')
    expect(message).toContain('Host key verification failed.')
    expect(existsSync(file)).toBe(false)
  })

  it('is refused without a question under strict checking', async () => {
    const result = await judge({ strictHostKeyChecking: 'yes', answers: ['yes'] })
    expect(result).toMatchObject({ error: 'unknown', asked: [] })
    expect(existsSync(file)).toBe(false)
  })

  it.each(['no', 'accept-new'] as const)('is remembered without a question under %s', async strictHostKeyChecking => {
    expect(await judge({ strictHostKeyChecking })).toMatchObject({ error: undefined, asked: [] })
    expect(readFileSync(file, 'utf8')).toBe(`${line('host.example', key)}\n`)
  })

  it('is remembered with its port, its alias or hashed', async () => {
    const strictHostKeyChecking = 'accept-new'
    await judge({ strictHostKeyChecking, port: 2222 })
    await judge({ strictHostKeyChecking, port: 2222, hostKeyAlias: 'alias' })
    expect(readFileSync(file, 'utf8')).toBe(`${line('[host.example]:2222', key)}\n${line('alias', key)}\n`)
    await judge({ strictHostKeyChecking, host: 'hidden.example', hashKnownHosts: true })
    expect(readFileSync(file, 'utf8')).not.toContain('hidden')
    expect(await judge({ strictHostKeyChecking: 'yes', host: 'hidden.example' })).toMatchObject({ error: undefined })
  })
})

describe('the file', () => {
  it('is made private in a private folder', async () => {
    await judge({ strictHostKeyChecking: 'accept-new' })
    expect(statSync(file).mode & 0o777).toBe(0o600)
    expect(statSync(join(folder, 'ssh')).mode & 0o777).toBe(0o700)
  })

  it('keeps its mode and what is in it, a last line without a newline too', async () => {
    const path = join(folder, 'existing')
    writeFileSync(path, line('elsewhere', other))
    chmodSync(path, 0o644)
    await judge({ strictHostKeyChecking: 'accept-new', userKnownHostsFiles: [path] })
    expect(statSync(path).mode & 0o777).toBe(0o644)
    expect(readFileSync(path, 'utf8')).toBe(`${line('elsewhere', other)}\n${line('host.example', key)}\n`)
  })

  it('does not end the connection when it cannot be written', async () => {
    const path = join(known('plain'), 'known_hosts')
    const result = await judge({ strictHostKeyChecking: 'accept-new', userKnownHostsFiles: [path] })
    expect(result.error).toBeUndefined()
    expect(result.said).toContain('Failed to add the host to the list of known hosts')
    expect(result.said).not.toContain('Permanently added')
  })
})

describe('a host with another key', () => {
  it.each(['ask', 'yes', 'accept-new'] as const)('is refused under %s, with the offending line', async strict => {
    const path = known('known', '# comment', line('host.example', other))
    const before = readFileSync(path, 'utf8')
    const result = await judge({ strictHostKeyChecking: strict, userKnownHostsFiles: [path], answers: ['yes'] })
    expect(result).toMatchObject({ error: 'changed', asked: [] })
    expect(result.said).toContain('WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!')
    expect(result.said).toContain(fingerprint(key.blob))
    expect(result.said).toMatch(new RegExp(`Offending ED25519 key in ${path}:2$`, 'm'))
    expect(result.said).toContain(`\n  remove with:\n  tssh-keygen -f "${path}" -R "host.example"`)
    expect(result.message).toContain('Host key verification failed.')
    expect(readFileSync(path, 'utf8')).toBe(before)
  })

  it('is accepted when a second line has the key', async () => {
    const path = known('known', line('host.example', other), line('host.example', key))
    expect(await judge({ userKnownHostsFiles: [path] })).toMatchObject({ error: undefined, asked: [] })
  })

  it('is found in the global files too', async () => {
    const globalKnownHostsFiles = [known('global', line('host.example', other))]
    expect((await judge({ globalKnownHostsFiles })).error).toBe('changed')
  })

  it.each(['ask', 'accept-new', 'yes'] as const)(
    'counts as changed under %s when only keys of other types are known',
    async strict => {
      const path = known('known', line('host.example', ecdsa))
      const result = await judge({ strictHostKeyChecking: strict, userKnownHostsFiles: [path], answers: ['yes'] })
      expect(result).toMatchObject({ error: 'changed', asked: [] })
    },
  )
})

describe('a revoked key', () => {
  it.each(['ask', 'yes', 'accept-new'] as const)('is refused under %s, known or not', async strict => {
    const path = known('known', line('host.example', key), line('@revoked *', key))
    const result = await judge({ strictHostKeyChecking: strict, userKnownHostsFiles: [path], answers: ['yes'] })
    expect(result).toMatchObject({ error: 'revoked', asked: [] })
    expect(result.said).toContain(`${path}:2`)
  })

  it('is distrusted under no, as ssh does: signatures may be given, secrets may not', async () => {
    const path = known('known', line('@revoked *', key))
    const judgements: string[] = []
    const accepted = (judgement: string) => void judgements.push(judgement)
    const result = await judge({ strictHostKeyChecking: 'no', userKnownHostsFiles: [path], accepted })
    expect(result.error).toBeUndefined()
    expect(result.said).toContain('REVOKED HOST KEY DETECTED')
    expect(judgements).toEqual(['distrusted'])
  })

  it('says nothing of another key', async () => {
    const path = known('known', line('host.example', key), line('@revoked *', other))
    expect((await judge({ userKnownHostsFiles: [path] })).error).toBeUndefined()
  })
})

it('does not take the key of an authority for the key of a host', async () => {
  const path = known('known', line('@cert-authority *', key))
  expect((await judge({ strictHostKeyChecking: 'yes', userKnownHostsFiles: [path] })).error).toBe('unknown')
})

it('puts the algorithms of known keys first and keeps the order otherwise', () => {
  const algorithms = ['ssh-ed25519', 'ecdsa-sha2-nistp256', 'rsa-sha2-512', 'rsa-sha2-256']
  expect(preferKnownTypes(algorithms, { types: ['ssh-rsa'], authority: false, x509: false })).toEqual([
    'rsa-sha2-512',
    'rsa-sha2-256',
    'ssh-ed25519',
    'ecdsa-sha2-nistp256',
  ])
  expect(preferKnownTypes(algorithms, { types: [], authority: true, x509: false })).toEqual(algorithms)
})

it('says which key types are known, those of revoked keys left out', async () => {
  const path = known('known', line('host.example', ecdsa), line('@revoked *', key), line('elsewhere', other))
  const options: VerifierOptions = {
    host: 'host.example',
    port: 22,
    strictHostKeyChecking: 'yes',
    userKnownHostsFiles: [path, join(folder, 'missing')],
    globalKnownHostsFiles: [],
    hashKnownHosts: false,
    ask: async () => undefined,
    print() {},
    log: { error() {} },
  }
  expect(await knownKeyTypes(options, options)).toEqual({
    types: ['ecdsa-sha2-nistp256'],
    authority: false,
    x509: false,
  })
})

describe('CheckHostIP', () => {
  const checkHostIP = true

  it('remembers a new host with its address, on one line or on two hashed ones', async () => {
    await judge({ checkHostIP, strictHostKeyChecking: 'no' })
    expect(readFileSync(file, 'utf8')).toBe(`${line('host.example,192.0.2.7', key)}\n`)
    rmSync(file)
    await judge({ checkHostIP, strictHostKeyChecking: 'no', hashKnownHosts: true })
    expect(readFileSync(file, 'utf8').trim().split('\n')).toHaveLength(2)
  })

  it('adds the address of a known host', async () => {
    const path = known('known', line('host.example', key))
    const result = await judge({ checkHostIP, userKnownHostsFiles: [path] })
    expect(result.error).toBeUndefined()
    expect(result.said).toContain("Permanently added the ED25519 host key for IP address '192.0.2.7'")
    expect(readFileSync(path, 'utf8')).toBe(`${line('host.example', key)}\n${line('192.0.2.7', key)}\n`)
  })

  it('asks, warns or refuses when the address is known with another key', async () => {
    const path = known('known', line('host.example', key), line('192.0.2.7', other))
    const options = { checkHostIP, userKnownHostsFiles: [path] }
    expect((await judge({ ...options, answers: ['no'] })).error).toBe('changed')
    const asked = await judge({ ...options, answers: ['yes'] })
    expect(asked.error).toBeUndefined()
    expect(asked.asked[0]).toContain(`Offending key for IP in ${path}:2\nMatching host key in ${path}:1`)
    expect((await judge({ ...options, strictHostKeyChecking: 'yes' })).error).toBe('changed')
    expect((await judge({ ...options, strictHostKeyChecking: 'no' })).error).toBeUndefined()
  })

  it('says what the address has to do with a changed key', async () => {
    const path = known('known', line('host.example', other), line('192.0.2.7', key))
    const result = await judge({ checkHostIP, userKnownHostsFiles: [path] })
    expect(result.error).toBe('changed')
    expect(result.said).toContain('POSSIBLE DNS SPOOFING DETECTED')
  })

  it('does not ask for loopback addresses and behind a proxy', async () => {
    const path = known('known', line('host.example', key), line('127.0.0.1', other))
    const options = { checkHostIP, userKnownHostsFiles: [path], strictHostKeyChecking: 'yes' as const }
    expect((await judge({ ...options, address: '127.0.0.1' })).error).toBeUndefined()
  })
})

describe('a host that can be named in other ways', () => {
  it('on another port is known by its name alone', async () => {
    const path = known('known', line('host.example', key))
    const judgements: string[] = []
    const accepted = (judgement: string) => void judgements.push(judgement)
    const options = { port: 2222, userKnownHostsFiles: [path], accepted }
    expect((await judge({ ...options, strictHostKeyChecking: 'yes' })).error).toBeUndefined()
    expect(judgements).toEqual(['known-without-port'])
    const changed = known('changed', line('host.example', other))
    expect((await judge({ ...options, userKnownHostsFiles: [changed], answers: ['no'] })).asked).toHaveLength(1)
  })

  it('is shown with the other names of its key', async () => {
    const path = known('known', line('elsewhere', key), line('|1|x|y', key))
    const { asked } = await judge({ userKnownHostsFiles: [path], answers: ['no'] })
    expect(asked[0]).toContain(
      `This host key is known by the following other names/addresses:\n    ${path}:1: elsewhere\n    ${path}:2: [hashed name]\n`,
    )
  })

  it('is taken for a secure fingerprint in the DNS, and then not written down', async () => {
    const records = (['sha1', 'sha256'] as const).map(kind => {
      const { algorithm, digestType, digest } = sshfpRecord(key, kind)!
      return Buffer.concat([Buffer.from([algorithm, digestType]), digest])
    })
    const lookUpSshfp = async () => ({ records, secure: true })
    const options = { verifyHostKeyDNS: 'yes' as const, lookUpSshfp, strictHostKeyChecking: 'yes' as const }
    expect((await judge(options)).error).toBeUndefined()
    expect(existsSync(file)).toBe(false)
    // What is revoked stays so, and ask trusts no answer by itself.
    expect((await judge({ ...options, revokedHostKeys: [known('revoked', formatPublicKeyLine(key))] })).error).toBe(
      'revoked',
    )
    expect((await judge({ ...options, verifyHostKeyDNS: 'ask' })).error).toBe('unknown')
    expect((await judge({ ...options, shown: other })).error).toBe('unknown')
  })

  it('is refused, known or not, when asking the DNS goes wrong in a way that nobody foresaw (CVE-2025-26465)', async () => {
    const path = known('known', line('host.example', key))
    const lookUpSshfp = async () => {
      throw new RangeError('out of memory')
    }
    await expect(judge({ verifyHostKeyDNS: 'yes', lookUpSshfp, userKnownHostsFiles: [path] })).rejects.toThrow(
      RangeError,
    )
  })

  it('is shown with a picture, and with what the DNS does not say', async () => {
    const { asked } = await judge({ visualHostKey: true, verifyHostKeyDNS: 'ask', answers: ['no'] })
    expect(asked[0]).toContain('+--[ED25519 256]--+')
    expect(asked[0]).toContain('No matching host key fingerprint found in DNS.')
  })

  it('is refused when its name or key could not be kept', async () => {
    expect((await judge({ host: 'a*b', strictHostKeyChecking: 'no' })).error).toBe('unknown')
    expect((await judge({ userKnownHostsFiles: [], strictHostKeyChecking: 'no' })).error).toBe('unknown')
  })

  it('at a loopback address is taken under NoHostAuthenticationForLocalhost, unless it has an alias', async () => {
    const path = known('known', line('host.example', other))
    const options = {
      noHostAuthenticationForLocalhost: true,
      address: '::1',
      userKnownHostsFiles: [path],
      strictHostKeyChecking: 'yes' as const,
    }
    expect((await judge(options)).error).toBeUndefined()
    expect((await judge({ ...options, address: '192.0.2.7' })).error).toBe('changed')
    expect((await judge({ ...options, hostKeyAlias: 'alias' })).error).toBe('unknown')
  })
})
