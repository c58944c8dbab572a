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
    void draft_losses();
    void draft(Kind kind, const recipe::ComponentSpec& spec, const std::string& id, const std::string& prefix,
               const std::string& instance, const recipe::PassSpec* pass);
    void index_writers();
    void connect();
    std::string resolve(const Draft& reader, const Port& port) const;
    void check_pass_reads();
    /// The produced shape as a component of a pass sees it: without the group axis, which `draft` then has.
    Shape without_group(Draft& draft, const Wire& wire, const Shape& produced);
    void order();
    void unify_and_create();
    void check_reach();
    void collect(Plan& plan);
    void mark_on_device();
    void mark_delivered(Plan& plan) const;
    void mark_wanted(Plan& plan) const;
    void mark_once_per_image(Plan& plan) const;
    bool network_is_trained(const std::string& name) const;
    bool writer_is_trained(const std::string& name) const;
    std::vector<std::string> names_in_flow() const;
    void problem(const recipe::Origin& where, const std::string& message) { problems_.add(where, message); }

    const recipe::Recipe& recipe_;
    const host::Registry& registry_;
    recipe::Diagnostics problems_;
    std::vector<Draft> drafts_;
    std::map<std::string, std::size_t> writer_;  ///< dataflow name -> draft
    std::map<std::string, Shape> shapes_;        ///< dataflow name -> shape
    std::map<std::string, std::shared_ptr<Component>> instances_;
    std::vector<std::string> warnings_;
};

/// What the loader delivers besides views, with shapes.
std::map<std::string, Shape> sources(const recipe::DataSpec& data);

}  // namespace hearth::plan
