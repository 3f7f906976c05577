// Finds the policies that can match a question without looking at all of them.
//
// Each rule is filed once, under the literal beginning of one of its three patterns: a whole text for a
// pattern without `*`, else what stands before the first `*`. A question's texts are run through once,
// and whatever is filed under one of their beginnings is a candidate. Which of the three? The one whose
// drawer holds the fewest rules so far, and among equals the one with the longest beginning: a thousand
// policies on `agent:*` spread over their actions and resources by themselves.

struct RuleIndex: Sendable {
    typealias Rule = Entitlements.Rule

    /// The three texts of a check.
    struct Question {
        let subject: UnsafeBufferPointer<UInt8>
        let action: UnsafeBufferPointer<UInt8>
        let resource: UnsafeBufferPointer<UInt8>

        func matches(_ rule: Rule) -> Bool {
            rule.action.matches(action) && rule.subject.matches(subject) && rule.resource.matches(resource)
        }
    }

    private enum Field: CaseIterable {
        case subject, action, resource

        func pattern(of rule: Rule) -> Pattern {
            switch self {
            case .subject: rule.subject
            case .action: rule.action
            case .resource: rule.resource
            }
        }
    }

    private var subjects = FieldIndex()
    private var actions = FieldIndex()
    private var resources = FieldIndex()
    private(set) var count = 0

    private subscript(field: Field) -> FieldIndex {
        _read {
            switch field {
            case .subject: yield subjects
            case .action: yield actions
            case .resource: yield resources
            }
        }
        _modify {
            switch field {
            case .subject: yield &subjects
            case .action: yield &actions
            case .resource: yield &resources
            }
        }
    }

    mutating func insert(_ rule: Rule) {
        var best = (field: Field.subject, crowd: Int.max, length: 0)
        for field in Field.allCases {
            let pattern = field.pattern(of: rule)
            let crowd = self[field].crowd(of: pattern)
            if crowd < best.crowd || crowd == best.crowd && pattern.headCount > best.length {
                best = (field, crowd, pattern.headCount)
            }
        }
        self[best.field].insert(rule, under: best.field.pattern(of: rule))
        count += 1
    }

    mutating func remove(_ rule: Rule) {
        // Where it was filed depended on what was there then; it is in just one of the three.
        for field in Field.allCases where self[field].remove(rule, under: field.pattern(of: rule)) {
            count -= 1
            return
        }
        preconditionFailure("a rule that was filed nowhere")
    }

    @inline(__always)
    func forEachCandidates(for question: Question, _ body: (RuleDrawer) -> Void) {
        subjects.forEachDrawer(for: question.subject, body)
        actions.forEachDrawer(for: question.action, body)
        resources.forEachDrawer(for: question.resource, body)
    }
}
