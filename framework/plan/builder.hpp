// A builder makes a Plan in stages, each of which reports all it finds before the next one starts. Only
// Plan::build uses it.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "plan/plan.hpp"

namespace hearth::plan {

class Builder {
  public:
    Builder(const recipe::Recipe& recipe, const host::Registry& registry)
        : recipe_(recipe), registry_(registry) {}
    Plan build();

  private:
    /// Throws what is wrong so far, and with it what overrides took away: often that is why.
    void stop_if_any(const char* title);
    /// A node before its component exists.
    struct Draft {
        Node node;
        const host::ComponentType* type = nullptr;
        const recipe::ComponentSpec* spec = nullptr;
        Options options;
        std::string instance;  ///< passes of one network share components
        const recipe::PassSpec* pass = nullptr;
        recipe::Origin origin;
    };

    void draft_augments();
    void draft_passes();
    void draft_heads();
    void draft_losses();
    void list_phases();
    void draft(Kind kind, const recipe::ComponentSpec& spec, const std::string& id, const std::string& prefix,
               const std::string& instance, const recipe::PassSpec* pass);
    void index_writers();
    void connect();
    std::string resolve(const Draft& reader, const Port& port) const;
    /// Whether its outputs are meant where others write some of the same name: of what is trained.
    bool is_preferred(const Draft& draft) const;
    void check_pass_reads();
    /// The produced shape as a component sees it: without the group axis, which `draft` then has, or as a group
    /// of one.
    Shape as_read(Draft& draft, Wire& wire, const Shape& produced);
    /// The size of the group that all reads of a loss, or of a head outside a network, have and do not ask for;
    /// else 0.
    std::int64_t common_group(const Draft& draft) const;
    void check_dtype(const Draft& reader, const Wire& wire);
    void order();
    void unify_and_create();
    /// What a component's own code threw: a mistake in the recipe is reported, at the line of the option that it
    /// names; anything else is thrown on with the component's place.
    void refused(const Draft& draft, const Error& error);
    void check_reach();
    /// What runs in a phase, and what a gradient goes through.
    void reach(Phase& phase);
    void check_reach_of_networks(const Phase& phase);
    void check_views_are_read();
    void check_monitor();
    bool is_loss_of(const Phase& phase, const Draft& draft) const;
    bool trains(const Phase& phase, const Draft& draft) const;
    void collect(Plan& plan);
    void collect_networks(Plan& plan);
    void mark_fits();
    void check_second_derivatives();
    void mark_on_device();
    void mark_delivered(Plan& plan) const;
    void mark_wanted(Plan& plan);
    void mark_reused();
    void mark_once_per_image(Plan& plan);
    void mark_parameters(Plan& plan);
    void report_nothing_to_train();
    /// All nodes that the writers of `names` read from, they included.
    std::set<std::size_t> upstream(const std::set<std::string>& names) const;
    /// Whether the monitor watches what a node writes.
    bool is_watched(const Node& node) const;
    /// Whether it belongs to a follower whose leader the phase updates.
    bool follows_trained(const Phase& phase, const Draft& draft) const;
    /// Whether some phase updates a network or a [[head]].
    bool is_trained(const std::string& owner) const;
    std::vector<std::string> names_in_flow() const;
    void problem(const recipe::Origin& where, const std::string& message) { problems_.add(where, message); }

    const recipe::Recipe& recipe_;
    const host::Registry& registry_;
    recipe::Diagnostics problems_;
    std::size_t refusals_ = 0;  ///< of the problems, those that components report themselves
    std::vector<Draft> drafts_;
    std::vector<Phase> phases_;
    std::vector<std::vector<bool>> reaches_loss_;  ///< by phase and draft
    std::map<std::string, std::size_t> writer_;    ///< dataflow name -> draft
    std::map<std::string, Shape> shapes_;          ///< dataflow name -> shape
    std::map<std::string, std::shared_ptr<Component>> instances_;
    std::vector<std::string> warnings_;
};

/// What the loader delivers besides views, with shapes.
std::map<std::string, Shape> sources(const recipe::DataSpec& data);

}  // namespace hearth::plan
