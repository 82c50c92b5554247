/** A list may name a submethod, `keyboard-interactive:pam`, which the authority behind the method chooses. */
const methodOf = (entry: string | undefined): string | undefined => entry?.split(':', 1)[0]

/**
 * Which methods a login still takes (AuthenticationMethods of sshd_config(5)): it is done when one list was worked
 * through in its order. Without lists, any one method is enough.
 */
export class RequiredMethods {
  readonly #offered: readonly string[]
  #lists: readonly (readonly string[])[] | undefined

  /** `offered` in the order in which the client is told of them; lists with other methods can never be done. */
  constructor(offered: readonly string[], lists: readonly (readonly string[])[] | undefined) {
    this.#offered = offered
    const any = lists?.length === 1 && lists[0]?.length === 1 && lists[0][0] === 'any'
    this.#lists = any
      ? undefined
      : lists?.filter(list => list.length > 0 && list.every(entry => offered.includes(methodOf(entry) ?? '')))
  }

  /** No list can be worked through: nobody gets in. */
  get impossible(): boolean {
    return this.#lists?.length === 0
  }

  /** Methods that may come next, without `none`. */
  get next(): string[] {
    return this.#offered.filter(name => this.#startsList(name))
  }

  allows(name: string): boolean {
    // A method that proves nothing may be enough alone, but is no part of a list.
    return name === 'none' ? this.#lists === undefined : this.#offered.includes(name) && this.#startsList(name)
  }

  /** Takes note of a success. @returns whether it was the last one needed */
  complete(name: string): boolean {
    if (!this.#lists) return true
    this.#lists = this.#lists.map(list => (methodOf(list[0]) === name ? list.slice(1) : list))
    return this.#lists.some(list => list.length === 0)
  }

  #startsList(name: string): boolean {
    return this.#lists?.some(list => methodOf(list[0]) === name) ?? true
  }
}
