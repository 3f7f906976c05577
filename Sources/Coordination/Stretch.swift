// A part of a list that is read piece by piece, and how the pieces are put together: so that the lock is held for
// one short look at a time, however long the list is.

package struct Stretch<Value> {
    /// Each with its serial number.
    package var found: [(serial: UInt64, value: Value)] = []
    /// The last that was looked at, after which to go on.
    package var examined: UInt64
    /// Whether nothing comes after.
    package var isLast = true

    package init(examined: UInt64) { self.examined = examined }

    /// Takes one look after another until there are `limit`, or the list ends, or enough has been looked at.
    ///
    /// - Parameters:
    ///   - places: looked at in all: a filter that lets hardly anything through must end some time.
    ///   - look: one short look, with the lock held.
    package static func gathered<Failure: Error>(
        after start: UInt64, limit: Int, places: Int = 20_000,
        _ look: (_ after: UInt64, _ limit: Int, _ scanning: Int) throws(Failure) -> Stretch<Value>
    ) throws(Failure) -> Stretch<Value> {
        let placesAtOnce = 500
        var all = Stretch(examined: start)
        var examined = 0
        repeat {
            let next = try look(all.examined, limit - all.found.count, placesAtOnce)
            all.found += next.found
            all.examined = next.examined
            all.isLast = next.isLast
            examined += placesAtOnce
        } while !all.isLast && all.found.count < limit && examined < places
        return all
    }
}

extension Stretch: Sendable where Value: Sendable {}
