import { foreignFunctions, loadLibc, loadLibrary } from './ffi.ts'

/** What PAM wants of the user (pam_conv(3)). */
export interface PamMessage {
  readonly style: 'hidden' | 'visible' | 'error' | 'info'
  readonly text: string
}

/** Answers one message; the answer to `error` and `info` is not used. Undefined gives up. */
export type PamConversation = (message: PamMessage) => string | undefined

const styles: Readonly<Record<number, PamMessage['style']>> = { 1: 'hidden', 2: 'visible', 3: 'error', 4: 'info' }

/** Return values and items of PAM on Linux. */
const success = 0
const bufferError = 5
const conversationError = 19
const newTokenRequired = 12
const items = { tty: 3, remoteHost: 4 } as const
const flags = { disallowEmptyPassword: 1, establishCredentials: 2, changeExpiredToken: 0x20 } as const

/** Messages of one question of PAM, and the bytes of an answer. */
const messageLimit = 32
const answerLimit = 511

export type PamResult = { readonly ok: true } | { readonly ok: false; readonly reason: string; readonly code: number }

/** One PAM transaction. Every call may block for seconds and may call the conversation, which answers at once. */
export interface PamTransaction {
  authenticate(options: { readonly emptyPasswords: boolean }): PamResult
  /** Whether the account may be used now. `new-password`: only to change an expired password. */
  checkAccount(): PamResult | 'new-password'
  changeExpiredPassword(): PamResult
  /** Sets the user's credentials and opens the session; its limits then hold for this process and its children. */
  openSession(): PamResult
  /** Variables that modules want the session to have. */
  environment(): ReadonlyMap<string, string>
  end(): void
}

export interface PamOptions {
  readonly service: string
  readonly user: string
  readonly remoteHost: string
  readonly conversation: PamConversation
}

/**
 * Starts a transaction with libpam.
 * @throws NativeError when the library cannot be called; Error when PAM refuses to start
 */
export function startPam({ service, user, remoteHost, conversation }: PamOptions): PamTransaction {
  const koffi = foreignFunctions()
  const pam = functions()
  const callback = koffi.register(
    (count: number, messages: unknown, answers: unknown): number => converse(count, messages, answers, conversation),
    koffi.pointer(pam.conversationType),
  )
  const handle: unknown[] = [null]
  let last = pam.start(service, user, { conv: callback, data: null }, handle)
  const transaction = handle[0]
  const result = (code: number): PamResult => {
    last = code
    return code === success ? { ok: true } : { ok: false, reason: pam.strerror(transaction, code), code }
  }
  if (last !== success) {
    koffi.unregister(callback)
    throw new Error(`PAM cannot start: error ${last}`)
  }
  pam.setItem(transaction, items.remoteHost, remoteHost)
  // Some modules crash or refuse without a terminal's name.
  pam.setItem(transaction, items.tty, 'ssh')
  return {
    authenticate: ({ emptyPasswords }) =>
      result(pam.authenticate(transaction, emptyPasswords ? 0 : flags.disallowEmptyPassword)),
    checkAccount() {
      const outcome = result(pam.accountManagement(transaction, 0))
      return !outcome.ok && outcome.code === newTokenRequired ? 'new-password' : outcome
    },
    changeExpiredPassword: () => result(pam.changeToken(transaction, flags.changeExpiredToken)),
    openSession() {
      const credentials = result(pam.setCredentials(transaction, flags.establishCredentials))
      return credentials.ok ? result(pam.openSession(transaction, 0)) : credentials
    },
    environment() {
      const list = pam.environment(transaction)
      if (list === null) return new Map()
      const variables = new Map<string, string>()
      for (let index = 0; index < 1024; index++) {
        const entry = koffi.decode(list, index * 8, 'char *') as string | null
        if (entry === null) break
        const equals = entry.indexOf('=')
        if (equals > 0) variables.set(entry.slice(0, equals), entry.slice(equals + 1))
      }
      return variables
    },
    end() {
      pam.end(transaction, last)
      koffi.unregister(callback)
    },
  }
}

/** Fills in PAM's answers, in memory that PAM will free. */
function converse(count: number, messages: unknown, answers: unknown, conversation: PamConversation): number {
  if (count <= 0 || count > messageLimit) return conversationError
  const koffi = foreignFunctions()
  const { calloc, strdup } = functions()
  const replies: (string | undefined)[] = []
  for (let index = 0; index < count; index++) {
    // Linux-PAM gives an array of pointers to messages.
    const message = koffi.decode(koffi.decode(messages, index * 8, 'void *'), 'pam_message') as {
      style: number
      text: string | null
    }
    const style = styles[message.style]
    if (!style) return conversationError
    const answer = conversation({ style, text: message.text ?? '' })
    if (style === 'error' || style === 'info') replies.push(undefined)
    else if (answer === undefined || Buffer.byteLength(answer) > answerLimit) return conversationError
    else replies.push(answer)
  }
  const responses = calloc(count, 16)
  if (responses === null) return bufferError
  replies.forEach((reply, index) => {
    if (reply !== undefined) koffi.encode(responses, index * 16, 'void *', strdup(reply))
  })
  koffi.encode(answers, 'void *', responses)
  return success
}

type Native = (...args: readonly unknown[]) => number

interface PamFunctions {
  readonly conversationType: ReturnType<ReturnType<typeof foreignFunctions>['proto']>
  readonly start: Native
  readonly setItem: Native
  readonly authenticate: Native
  readonly accountManagement: Native
  readonly changeToken: Native
  readonly setCredentials: Native
  readonly openSession: Native
  readonly end: Native
  readonly strerror: (handle: unknown, code: number) => string
  readonly environment: (handle: unknown) => unknown
  readonly calloc: (count: number, size: number) => unknown
  readonly strdup: (text: string) => unknown
}

let cached: PamFunctions | undefined

/** The functions of libpam. @throws NativeError when they cannot be called */
export function functions(): PamFunctions {
  if (cached) return cached
  const koffi = foreignFunctions()
  const libpam = loadLibrary('libpam.so.0', 'libpam.so')
  const libc = loadLibc()
  const conversationType = koffi.proto('int pam_conversation(int count, void *messages, void *answers, void *data)')
  koffi.struct('pam_message', { style: 'int', text: 'const char *' })
  koffi.struct('pam_conv', { conv: koffi.pointer(conversationType), data: 'void *' })
  const native = (definition: string): Native => libpam.func(definition) as unknown as Native
  cached = {
    conversationType,
    start: native('int pam_start(const char *service, const char *user, const pam_conv *conv, _Out_ void **handle)'),
    setItem: native('int pam_set_item(void *handle, int item, const char *value)'),
    authenticate: native('int pam_authenticate(void *handle, int flags)'),
    accountManagement: native('int pam_acct_mgmt(void *handle, int flags)'),
    changeToken: native('int pam_chauthtok(void *handle, int flags)'),
    setCredentials: native('int pam_setcred(void *handle, int flags)'),
    openSession: native('int pam_open_session(void *handle, int flags)'),
    end: native('int pam_end(void *handle, int status)'),
    strerror: libpam.func('const char *pam_strerror(void *handle, int code)') as unknown as PamFunctions['strerror'],
    environment: libpam.func('void *pam_getenvlist(void *handle)') as unknown as PamFunctions['environment'],
    calloc: libc.func('void *calloc(size_t count, size_t size)') as unknown as PamFunctions['calloc'],
    strdup: libc.func('void *strdup(const char *text)') as unknown as PamFunctions['strdup'],
  }
  return cached
}
