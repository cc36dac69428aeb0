#include "trainer/setting_flags.h"

#include <optional>

#include "absl/flags/flag.h"
#include "absl/flags/reflection.h"
#include "base/status_macros.h"

// Settings of train: without them the recipe's count.
#define NEUMF_SETTING(name, help) \
  ABSL_FLAG(std::optional<std::string>, name, std::nullopt, "setting: " help)

NEUMF_SETTING(model,
              "mf, gmf, mlp, neumf, bilinear-triplet, deep-triplet or fm");
NEUMF_SETTING(factors, "width of the product's embeddings");
NEUMF_SETTING(tower_factors,
              "width of the tower's embeddings, or users/items like 32/64, "
              "where it is not that of --factors");
NEUMF_SETTING(hidden, "widths of the tower's layers like 32-16-8, or none");
NEUMF_SETTING(activation, "of the tower: relu, tanh or sigmoid");
NEUMF_SETTING(linear_width,
              "width of a linear layer at the tower's end; 0: none");
NEUMF_SETTING(similarity, "of the product: dot or cosine");
NEUMF_SETTING(
    gmf_head,
    "output weights of the product: learned, or ones where the items' "
    "embeddings hold them");
NEUMF_SETTING(biases, "none, output (one), item (and one) or all");
NEUMF_SETTING(user_features, "file of the users' features");
NEUMF_SETTING(item_features, "file of the items' features");
NEUMF_SETTING(history, "items seen last that are part of the user; 0: none");
NEUMF_SETTING(history_decay, "the n-th last item weighs exp(-(n - 1) / this)");
NEUMF_SETTING(low_ratings,
              "of events below --min_rating: ignored, or positives: what a "
              "user rated at all is learned from, what is measured stays");
NEUMF_SETTING(loss,
              "bpr, hinge, bce, gbce, square, softmax, warp, ccl or ials");
NEUMF_SETTING(margin, "of hinge, warp and ccl");
NEUMF_SETTING(temperature, "of softmax");
NEUMF_SETTING(negative_weight,
              "of what is no positive: bce, gbce, square, ccl, ials");
NEUMF_SETTING(calibration, "of gbce, 0 to 1");
NEUMF_SETTING(hard_negatives,
              "of a pair's negatives the so many with the largest scores "
              "count; 0: all");
NEUMF_SETTING(log_q, "take log(n Q) off the scores of softmax over pairs");
NEUMF_SETTING(reduction, "of a batch's losses: mean or sum");
NEUMF_SETTING(batches,
              "pairs (an event with negatives of its own), events or users "
              "(over shared candidates)");
NEUMF_SETTING(batch_size, "pairs, events or users a step");
NEUMF_SETTING(sampler, "of negatives: pool, reject, uniform or popularity");
NEUMF_SETTING(negatives, "of a pair");
NEUMF_SETTING(candidates,
              "drawn a batch of events or users; 0: the whole catalog");
NEUMF_SETTING(popularity_power, "of the sampler popularity");
NEUMF_SETTING(targets, "of an event: its item and the next ones");
NEUMF_SETTING(target_decay, "the n-th target weighs exp(-(n - 1) / this)");
NEUMF_SETTING(recency,
              "targets weigh more the nearer they are to the end of a user's "
              "sequence: .1 + exp(-places / this); 0: all the same");
NEUMF_SETTING(epochs, "times that each event or user is seen");
NEUMF_SETTING(optimizer, "sgd, adagrad, rmsprop, adam or adamw");
NEUMF_SETTING(updates,
              "dense, or rows: of a table only what the batch touched moves");
NEUMF_SETTING(learning_rate, "step size");
NEUMF_SETTING(schedule,
              "of the learning rate: constant, step:N:gamma or cosine, each "
              "with ,warmup:W");
NEUMF_SETTING(momentum, "of sgd and rmsprop");
NEUMF_SETTING(beta1, "of adam and adamw");
NEUMF_SETTING(beta2, "of adam and adamw; rmsprop's alpha");
NEUMF_SETTING(epsilon, "of adagrad, rmsprop, adam and adamw");
NEUMF_SETTING(weight_decay, "L2 of everything that a step moves");
NEUMF_SETTING(l2, "L2 by frequency: of the users and positives of a batch");
NEUMF_SETTING(l2_negative, "the same of its negatives");
NEUMF_SETTING(dropout, "share of the tower's inputs and hidden values");
NEUMF_SETTING(initialization, "d2l, ncf, torch, keras or normal");
NEUMF_SETTING(embedding_scale, "spread of the embeddings; 0: its own");
NEUMF_SETTING(bias_start, "of item biases: zero or popularity");
NEUMF_SETTING(pretrained_gmf, "file of --weights_out to begin with");
NEUMF_SETTING(pretrained_mlp, "file of --weights_out to begin with");
NEUMF_SETTING(alpha, "share of --pretrained_gmf in the output");

namespace neumf {

absl::StatusOr<std::vector<std::string>> SetGivenSettings(
    TrainSettings* settings) {
  std::vector<std::string> names;
  for (const std::string& name : SettingNames()) {
    const absl::CommandLineFlag* const flag = absl::FindCommandLineFlag(name);
    const auto given = flag->TryGet<std::optional<std::string>>();
    if (!given || !*given) continue;
    NEUMF_RETURN_IF_ERROR(SetSetting(name, **given, settings));
    names.push_back(name);
  }
  return names;
}

}  // namespace neumf
